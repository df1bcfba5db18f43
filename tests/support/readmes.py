"""The console blocks of the READMEs: commands, and what they print."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

READMES = sorted({ROOT / "README.md", *ROOT.glob("*/README.md"), ROOT / ".github" / "SECURITY.md"})
DEMO = "./scripts/demo"


@cache
def shown() -> dict[str, str]:
    """Each command with the output that is shown below it; `…` stands for anything."""
    found = {}
    for file in READMES:
        for block in re.findall(r"^```console\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
            for part in block.split("$ ")[1:] if block.startswith("$ ") else [block]:
                command, _, output = part.partition("\n")
                assert command not in found, f"{file}: {command} is shown twice"
                found[command] = output
    return found


def prints_what_is_shown(command: str, folder: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(folder / "data"), "TMPDIR": str(folder)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    pattern = ".*".join(re.escape(piece) for piece in shown()[command].split("…"))
    assert re.fullmatch(pattern, done.stdout, re.DOTALL), f"{command}\n{done.stdout}"
