"""What the tests of backups share: the state that a service has, the service on it, and the two commands."""

import base64
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.backup import main as backup_main
from scripts.restore import main as restore_main
from src.config.settings import Settings
from tests.fakes.engines import served
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server
from tests.support.messages import CONSENT


@dataclass
class State:
    """Settings as environment variables, from which the service and the commands take them."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    printed: str = ""

    def set(self, **settings: str | Path) -> None:
        for name, value in settings.items():
            self.monkeypatch.setenv(name, str(value))

    def in_bucket(self, server: S3Server, bucket: str, **more: str) -> None:
        """Audio, and without another place backups, in this bucket."""
        self.set(STORAGE="s3", S3_BUCKET=bucket, S3_ENDPOINT_URL=server.endpoint, S3_REGION=REGION)
        self.set(S3_ACCESS_KEY_ID=KEY_ID, S3_SECRET_ACCESS_KEY=SECRET, **more)

    def backup(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        """What the command says as JSON."""
        return self._said(backup_main([*map(str, arguments)]), code)

    def restore(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        return self._said(restore_main([*map(str, arguments)]), code)

    def _said(self, ended_with: int, code: int) -> dict[str, Any]:
        out, err = self.capsys.readouterr()
        assert ended_with == code, err
        self.printed += out + err
        assert SECRET not in out + err
        said: dict[str, Any] = json.loads(out)
        assert said["ok"] is (code == 0)
        return said


@pytest.fixture
def backup_state(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> State:
    """Nothing yet, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    state = State(monkeypatch, capsys)
    state.set(DATA_DIR=tmp_path / "data", MIN_REFERENCE_SECONDS="1")
    return state


def service() -> AbstractContextManager[httpx.Client]:
    """On fake engines, with everything else as the settings say."""
    return served(Settings(_env_file=None))


def encoded(words: bytes) -> str:
    return base64.b64encode(words).decode()


def make_profile(http: httpx.Client) -> str:
    """Of two recordings."""
    body = {
        "reference_audio": encoded(b"a voice"),
        "additional_references": [encoded(b"the same voice")],
        "consent": CONSENT,
    }
    return str(http.post("/api/v1/voice/profile", json=body).raise_for_status().json()["profile_id"])


def translate(http: httpx.Client, **more: object) -> str:
    """The id of a completed job."""
    body = {"audio": encoded(b"any words"), "source_language": "en", "target_language": "es"} | more
    job = http.post("/api/v1/voice/translate", json=body).raise_for_status().json()
    assert job["status"] == "completed"
    return str(job["job_id"])


def job_of(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Without its address, which is signed anew each time."""
    answer: dict[str, Any] = http.get(f"/api/v1/voice/job/{job_id}").raise_for_status().json()
    return {name: value for name, value in answer.items() if name != "audio_url"}


def profile_of(http: httpx.Client, profile_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = http.get(f"/api/v1/voice/profile/{profile_id}").raise_for_status().json()
    return answer
