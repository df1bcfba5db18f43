"""Which voice engine the settings choose."""

import logging
from pathlib import Path

import pytest

from src.bootstrap.engines import _recogniser, _runners, _voice, build_engines
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.models.embedded_voice import kokoro_files
from src.workers.process_pool import ProcessPool

KOKORO = Path(__file__).resolve().parents[3] / "checkpoints" / "kokoro"
"""Where scripts/setup brings it."""


def _settings(folder: Path, engine: str, *, agreed: bool) -> Settings:
    values = {"voice_engine": engine, "xtts_dir": folder, "kokoro_dir": folder, "coqui_tos_agreed": agreed}
    return Settings.model_validate(values)


async def test_without_any_files_espeak_speaks_alone_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _settings(tmp_path, "auto", agreed=True)
    engines = build_engines(settings)
    assert engines.voice.name == "espeak-ng+world"
    assert "scripts/download_models.py kokoro" in caplog.text
    assert [notice for notice in engines.notices() if "espeak-ng" in notice and "Kokoro-82M" in notice]
    assert engines.close is not None
    await engines.close()


async def test_with_kokoros_files_it_speaks_and_nothing_is_less_than_it_should_be(tmp_path: Path) -> None:
    settings = _settings(tmp_path, "auto", agreed=True).model_copy(update={"kokoro_dir": KOKORO})
    engines = build_engines(settings)
    assert engines.voice.name == "kokoro+world"
    assert not [notice for notice in engines.notices() if "Kokoro" in notice]
    assert engines.close is not None
    await engines.close()


def test_a_damaged_network_is_no_reason_to_go_on_without_it(tmp_path: Path) -> None:
    (tmp_path / kokoro_files.VOICES_FILE).write_bytes(b"other")
    (tmp_path / kokoro_files.NETWORK_FILE).write_bytes(b"other")
    with pytest.raises(EngineUnavailable, match="damaged"):
        _voice(_settings(tmp_path, "auto", agreed=True))


def test_auto_leaves_a_checkpoint_whose_licence_is_not_accepted_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.pth").touch()
    voice = _voice(_settings(tmp_path, "auto", agreed=False))
    assert voice.abilities.engine == "espeak-ng+world"
    assert "COQUI_TOS_AGREED" in caplog.text


def test_auto_takes_xtts_when_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    voice = _voice(_settings(tmp_path, "auto", agreed=True))
    assert voice.abilities.engine == "xtts-v2"
    assert {"en", "es", "fr"} <= voice.abilities.languages


@pytest.mark.parametrize(("agreed", "says"), [(False, "COQUI_TOS_AGREED"), (True, "lacks")])
async def test_a_named_xtts_never_falls_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, agreed: bool, says: str
) -> None:
    settings = _settings(tmp_path, "xtts", agreed=agreed)
    _, runner = _runners(settings, _recogniser(settings), _voice(settings))
    with caplog.at_level(logging.INFO), pytest.raises(EngineUnavailable, match=says):
        await runner.start()
    await runner.close()


def test_whisper_and_xtts_live_in_one_process_and_an_embedded_voice_in_a_pool_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    (tmp_path / "base.pt").touch()
    values = {"xtts_dir": tmp_path, "coqui_tos_agreed": True, "whisper_dir": tmp_path, "engine_processes": 1}
    production = Settings.model_validate(values)
    transcription, voice = _runners(production, _recogniser(production), _voice(production))
    assert transcription is voice
    embedded = Settings.model_validate({**values, "voice_engine": "embedded"})
    transcription, voice = _runners(embedded, _recogniser(embedded), _voice(embedded))
    assert type(voice) is ProcessPool
    assert transcription is not voice


@pytest.mark.parametrize(("engine", "varies"), [("embedded", False), ("xtts", True)])
async def test_only_xtts_says_the_same_in_several_ways(tmp_path: Path, engine: str, varies: bool) -> None:
    engines = build_engines(_settings(tmp_path, engine, agreed=True))
    assert engines.voice.varies is varies
    assert engines.close is not None
    await engines.close()
