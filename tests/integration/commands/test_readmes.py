"""The console blocks of the READMEs: each command runs, and prints what is shown there. `…` stands for anything."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.readmes import DEMO, READMES, prints_what_is_shown, shown


@pytest.mark.parametrize("command", [pytest.param(each, id=each[:60]) for each in shown() if each != DEMO])
def test_a_command_prints_what_is_shown(command: str, tmp_path: Path) -> None:
    """But for the demo, which is among the slow ones."""
    prints_what_is_shown(command, tmp_path)


def test_links_lead_somewhere() -> None:
    for file in READMES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", file.read_text()):
            linked = (file.parent / target).resolve() if target else file
            assert linked.exists(), f"{file}: {target}"
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE) if anchor else []
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert not anchor or anchor in slugs, f"{file}: {target}#{anchor}"


def test_files_that_are_named_exist() -> None:
    for file in READMES:
        for path in re.findall(r"`((?:src|tests|scripts|docker)/\w[\w./-]*?)/?`", file.read_text()):
            assert (ROOT / path).exists(), f"{file.name}: {path}"
