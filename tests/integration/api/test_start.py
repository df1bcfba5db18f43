"""How a start that cannot succeed ends: with the reason as the last line, for whoever reads the log at night."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.servers.ports import free_port


def test_the_last_line_says_what_is_missing(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PORT": str(free_port()),
        "DATA_DIR": str(tmp_path / "data"),
        "WHISPER_DIR": "/nowhere",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "src.main"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode != 0
    assert "scripts/download_models.py whisper:base" in ended.stderr.strip().splitlines()[-1]
