"""Which voice engine the settings choose."""

import logging
from pathlib import Path

import pytest

from src.bootstrap.engines import _recogniser, _runners, _voice, build_engines
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.workers.process_pool import ProcessPool


def _settings(folder: Path, engine: str, *, agreed: bool) -> Settings:
    values = {"voice_engine": engine, "xtts_dir": folder, "coqui_tos_agreed": agreed}
    return Settings.model_validate(values)


def test_auto_takes_espeak_without_a_checkpoint(tmp_path: Path) -> None:
    voice = _voice(_settings(tmp_path, "auto", agreed=True))
    assert voice.name == "espeak-ng+world"


def test_auto_leaves_a_checkpoint_whose_licence_is_not_accepted_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.pth").touch()
    voice = _voice(_settings(tmp_path, "auto", agreed=False))
    assert voice.name == "espeak-ng+world"
    assert "COQUI_TOS_AGREED" in caplog.text


def test_auto_takes_xtts_when_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    voice = _voice(_settings(tmp_path, "auto", agreed=True))
    assert voice.name == "xtts-v2"
    assert {"en", "es", "fr"} <= voice.languages


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
    embedded = Settings.model_validate({**values, "voice_engine": "espeak"})
    transcription, voice = _runners(embedded, _recogniser(embedded), _voice(embedded))
    assert type(voice) is ProcessPool
    assert transcription is not voice


@pytest.mark.parametrize(("engine", "varies"), [("espeak", False), ("xtts", True)])
async def test_only_xtts_says_the_same_in_several_ways(tmp_path: Path, engine: str, varies: bool) -> None:
    engines = build_engines(_settings(tmp_path, engine, agreed=True))
    assert engines.voice.varies is varies
    assert engines.close is not None
    await engines.close()
