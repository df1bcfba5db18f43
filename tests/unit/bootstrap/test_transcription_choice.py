"""Which recogniser the settings choose. The weights are an empty file: nothing is loaded before the pool starts."""

import logging
from pathlib import Path

import pytest

from src.bootstrap.engines import _recogniser
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable


def settings(folder: Path, engine: str) -> Settings:
    return Settings.model_validate({"transcription_engine": engine, "whisper_dir": folder, "whisper_model": "tiny"})


def test_auto_takes_whisper_when_its_weights_are_there(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").touch()
    transcriber = _recogniser(settings(tmp_path, "auto"))
    assert transcriber.name == "whisper"
    assert {"fr", "ja"} <= transcriber.languages


def test_auto_takes_pocketsphinx_else_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        transcriber = _recogniser(settings(tmp_path, "auto"))
    assert transcriber.name == "pocketsphinx"
    assert "tiny.pt" in caplog.text


def test_a_named_whisper_never_falls_back(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"tiny\.pt"):
        _recogniser(settings(tmp_path, "whisper"))


def test_a_named_pocketsphinx_leaves_whisper_alone(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").touch()
    transcriber = _recogniser(settings(tmp_path, "pocketsphinx"))
    assert transcriber.name == "pocketsphinx"
