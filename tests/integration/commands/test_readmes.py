"""The console blocks of the READMEs: each command runs, and prints what is shown there. `…` stands for anything."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
READMES = sorted({ROOT / "README.md", *ROOT.glob("*/README.md"), ROOT / ".github" / "SECURITY.md"})


def _commands() -> Iterator[tuple[str, str, str]]:
    """File, command, and the output that is shown below it."""
    for file in READMES:
        for block in re.findall(r"^```console\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
            for part in block.split("$ ")[1:] if block.startswith("$ ") else [block]:
                command, _, shown = part.partition("\n")
                yield str(file.relative_to(ROOT)), command, shown


@pytest.mark.parametrize(("file", "command", "shown"), [pytest.param(*case, id=case[1][:60]) for case in _commands()])
def test_a_command_prints_what_is_shown(file: str, command: str, shown: str, tmp_path: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path / "data"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{file}: {command}\n{done.stderr}"
    pattern = ".*".join(re.escape(piece) for piece in shown.split("…"))
    assert re.fullmatch(pattern, done.stdout, re.DOTALL), f"{file}: {command}\n{done.stdout}"


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
