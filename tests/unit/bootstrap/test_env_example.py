"""`.env.example` names exactly the settings that exist, with the defaults that they have."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from src.config.settings import Settings

EXAMPLE = Path(__file__).resolve().parents[3] / ".env.example"
SETTING = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from whoever runs the tests."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_it_names_each_setting_once() -> None:
    names = [name for name, _ in SETTING.findall(EXAMPLE.read_text())]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.usefixtures("bare_environment")
def test_its_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings()
    for name, value in SETTING.findall(EXAMPLE.read_text()):
        default = getattr(defaults, name.lower())
        if value == "":
            varies = Settings.model_fields[name.lower()].default_factory is not None
            assert varies or default in (None, []), (
                f"{name} has a default, {default!r}, that .env.example does not show"
            )
        else:
            monkeypatch.setenv(name, value)
    assert Settings().model_dump() == defaults.model_dump()


def test_every_setting_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for before, line in pairwise(lines) if SETTING.match(line) and not before.startswith("# ")]
    assert bare == []


@pytest.mark.usefixtures("bare_environment")
def test_a_copy_of_it_changes_nothing(tmp_path: Path) -> None:
    defaults = Settings()
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    assert Settings().model_dump() == defaults.model_dump()
