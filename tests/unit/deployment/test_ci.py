"""Continuous integration leaves out none of the tests that `scripts/test` runs."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_folder_of_tests_is_run() -> None:
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    commands = re.findall(r"^ *(?:nice )?\./scripts/test (.*) \|\|", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert sorted(" ".join(commands).split()) == sorted(folders)
