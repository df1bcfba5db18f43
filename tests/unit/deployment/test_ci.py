"""Continuous integration leaves out no tests but those that are named here."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BY_HAND = {"image"}
"""What needs root and gigabytes."""
SLOW = {"slow", "chaos", "security"}
"""What `scripts/test slow` runs."""


def test_every_folder_of_tests_is_run() -> None:
    commands = re.findall(r"^(?:nice )?\./scripts/test(.*) \|\|", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert "" in commands, "all that pytest's testpaths name"
    paths = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    run = {Path(path).name for path in paths} | {command.strip() for command in commands if command}
    there = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert "slow" in run
    assert there - BY_HAND == run | SLOW
