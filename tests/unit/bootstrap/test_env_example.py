"""`.env.example` says every setting and its default, as src/config/settings.py has them."""

import os
import re
from pathlib import Path

import pytest

from scripts.env_example import ROOT, example
from src.config.settings import Settings

EXAMPLE = (ROOT / ".env.example").read_text()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from whoever runs the tests."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_it_is_what_the_script_makes() -> None:
    assert example() == EXAMPLE, "run .venv/bin/python scripts/env_example.py"


def test_it_has_each_setting_once_below_a_description() -> None:
    names = re.findall(r"^# .+\n#([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
    assert names == [name.upper() for name in Settings.model_fields]


def test_there_are_at_most_80() -> None:
    assert len(Settings.model_fields) <= 80


@pytest.mark.parametrize("sign", ["#", ""])
def test_a_copy_changes_nothing_commented_out_or_not(tmp_path: Path, sign: str) -> None:
    defaults = Settings()
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z0-9_]+=)", sign, EXAMPLE, flags=re.MULTILINE))
    assert Settings().model_dump() == defaults.model_dump()
