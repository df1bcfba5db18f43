"""The embedded engines in a worker, and the service in a process without any: both as operators start them."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from src.bootstrap.storage import new_key
from src.utils.words import words
from tests.conftest import ROOT, service_process
from tests.recordings import audio_files
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

SENTENCE = "my sister will arrive at the airport tomorrow evening"
NETWORKS = {"libtorch", "onnxruntime", "pyworld"}
CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T12:00:00Z"}


@pytest.fixture
def service(postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[httpx.Client, int]]:
    """A client of it, and its process's id."""
    settings = {
        "WORKERS": "remote",
        "DATABASE_URL": postgres.ready_database(),
        "REDIS_URL": redis_server.url,
        "DATA_DIR": str(tmp_path / "data"),
        "STORAGE_KEYS": new_key(),
        "ENGINE_PROCESSES": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "src.worker"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with (
            service_process(tmp_path / "data", **settings) as (url, process),
            httpx.Client(base_url=f"{url}/api/v1/voice", timeout=90) as http,
        ):
            deadline = time.monotonic() + 90
            while http.get(f"{url}/health").json()["workers"]["live"] == 0:
                assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
                time.sleep(0.1)
            yield http, process.pid
    finally:
        worker.terminate()
        worker.wait(40)


def test_a_voice_is_learned_heard_and_spoken_with_by_the_worker(service: tuple[httpx.Client, int]) -> None:
    http, process = service
    spoken = base64.b64encode(audio_files.encode(audio_files.speech(16_000, SENTENCE), 16_000, "wav")).decode()
    heard = http.post("/transcribe", json={"audio": spoken})
    assert heard.status_code == 200, heard.text
    assert words(heard.json()["text"]) == words(SENTENCE)
    profile = http.post("/profile", json={"reference_audio": spoken, "consent": CONSENT})
    assert profile.status_code == 200, profile.text
    with_profile = {"voice_profile_id": profile.json()["profile_id"]}
    said = http.post("/clone", json={"text": "Good morning.", "target_language": "en", **with_profile})
    assert said.status_code == 200, said.text
    assert said.json()["engine"] == "kokoro+world"
    translated = http.post("/translate", json={"audio": spoken, "target_language": "es", **with_profile})
    assert translated.status_code == 200, translated.text
    assert words(translated.json()["original_text"]) == words(SENTENCE)
    assert "hermana" in translated.json()["translated_text"]

    assert mapped(process) == set()


def mapped(process: int) -> set[str]:
    """Which of the libraries that engines need this process has in memory."""
    files = Path(f"/proc/{process}/maps").read_text()
    return {name for name in NETWORKS if name in files}
