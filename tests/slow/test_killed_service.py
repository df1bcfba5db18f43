"""A service on the embedded engines that is killed: its children end, and its jobs are done at the next start."""

import base64
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx

from src.utils.words import words
from tests.conftest import service_process
from tests.recordings import audio_files

SENTENCE = "my sister will arrive at the airport tomorrow evening"
BODY = {
    "audio": base64.b64encode(audio_files.encode(audio_files.speech(16_000, SENTENCE), 16_000)).decode(),
    "target_language": "es",
}


def test_a_killed_service_does_its_jobs_at_the_next_start(tmp_path: Path) -> None:
    with service_process(tmp_path / "data", JOB_LEASE_SECONDS="4") as (url, process):
        with httpx.Client(base_url=url, timeout=30) as http:
            locations = [
                http.post("/api/v1/voice/translate", json=BODY, headers={"Prefer": "respond-async"}).headers["location"]
                for _ in range(3)
            ]
            while http.get(locations[0]).json()["status"] == "pending":
                time.sleep(0.01)
        children = _children(process)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert children
        _assert_gone(children)
    with service_process(tmp_path / "data") as (url, _), httpx.Client(base_url=url, timeout=30) as http:
        for location in locations:
            deadline = time.monotonic() + 60
            while (job := http.get(location).json())["status"] != "completed":
                assert job["status"] != "failed", job
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert words(job["original_text"]) == words(SENTENCE)


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listing.stdout.split()]


def _assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 5
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "engine processes outlived the service"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
