"""Which recogniser the settings choose. The weights are an empty file: nothing is loaded before the pool starts."""

from pathlib import Path

import pytest

from src.bootstrap.engines import _recogniser
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable


def settings(folder: Path, **values: object) -> Settings:
    return Settings.model_validate({"whisper_dir": folder, "whisper_model": "tiny", **values})


def test_whisper_is_chosen_with_what_its_model_hears(tmp_path: Path) -> None:
    for name in ("tiny.pt", "tiny.en.pt"):
        (tmp_path / name).touch()
    multilingual, english = _recogniser(settings(tmp_path)), _recogniser(settings(tmp_path, whisper_model="tiny.en"))
    assert multilingual.abilities.engine == "whisper"
    assert {"fr", "ja"} <= multilingual.abilities.languages
    assert english.abilities.languages == {"en"}


@pytest.mark.parametrize("missing", ["whisper_model", "whisper_model_high"])
def test_a_start_without_weights_says_what_brings_them(tmp_path: Path, missing: str) -> None:
    (tmp_path / "tiny.pt").touch()
    with pytest.raises(EngineUnavailable, match=r"base\.pt.*scripts/download_models\.py whisper:base"):
        _recogniser(settings(tmp_path, **{missing: "base"}))
