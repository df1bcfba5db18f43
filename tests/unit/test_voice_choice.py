"""Which voice engine the settings choose."""

import logging
from pathlib import Path

import pytest

from src.bootstrap_engines import _voice
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable


def _settings(folder: Path, engine: str, *, agreed: bool) -> Settings:
    values = {"voice_engine": engine, "xtts_dir": folder, "coqui_tos_agreed": agreed}
    return Settings.model_validate(values)


def test_auto_takes_espeak_without_a_checkpoint(tmp_path: Path) -> None:
    _, voice = _voice(_settings(tmp_path, "auto", agreed=True))
    assert voice.name == "espeak-ng+world"


def test_auto_leaves_a_checkpoint_whose_licence_is_not_accepted_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.pth").touch()
    _, voice = _voice(_settings(tmp_path, "auto", agreed=False))
    assert voice.name == "espeak-ng+world"
    assert "COQUI_TOS_AGREED" in caplog.text


def test_auto_takes_xtts_when_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    _, voice = _voice(_settings(tmp_path, "auto", agreed=True))
    assert voice.name == "xtts-v2"
    assert {"en", "es", "fr"} <= voice.languages


@pytest.mark.parametrize(("agreed", "says"), [(False, "COQUI_TOS_AGREED"), (True, "lacks")])
async def test_a_named_xtts_never_falls_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, agreed: bool, says: str
) -> None:
    pool, _ = _voice(_settings(tmp_path, "xtts", agreed=agreed))
    with caplog.at_level(logging.INFO), pytest.raises(EngineUnavailable, match=says):
        await pool.start()
    await pool.close()
