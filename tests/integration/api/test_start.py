"""How a start that cannot succeed ends: with the reason as the last line, for whoever reads the log at night."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers.ports import free_port


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("WHISPER_DIR", "/nowhere", "scripts/download_models.py whisper:base"),
        ("AUTH_MODE", "jwt", "exactly one of JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_JWKS_URL"),
        ("JOB_CONCURRENCY", "none", "JOB_CONCURRENCY"),
    ],
)
def test_the_last_line_says_what_is_missing(tmp_path: Path, setting: str, value: str, reason: str) -> None:
    environment = {**os.environ, "PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data"), setting: value}
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
    assert reason in ended.stderr.strip().splitlines()[-1]
