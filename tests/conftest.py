"""Servers for tests: one on fake engines in this process, one on the embedded engines in a process of its own."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.servers.ports import free_port
from tests.servers.postgres import database_url, postgres
from tests.servers.redis import redis_server, shared_redis

if TYPE_CHECKING:
    from tests.servers.s3 import S3Server

__all__ = ["database_url", "postgres", "redis_server", "shared_redis"]  # fixtures of every test

ROOT = Path(__file__).resolve().parent.parent

_SMALL = {"OMP_WAIT_POLICY": "PASSIVE", "ENGINE_PROCESSES": "1"}
"""One process of each kind, and threads that give their core away while they wait: starting takes half as long."""


HEARING = (
    "tests/e2e/",
    "tests/integration/audio/test_embedded_service.py",
    "tests/integration/audio/test_live_speech.py",
    "tests/integration/audio/test_spoken_challenge.py",
    "tests/integration/audio/test_whisper_service.py",
)
"""What uses `live_server`; another file that does only starts one more."""


class TogetherByServer(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests stay in one process, and so do all that use `live_server`: it is started once for a run."""

    def _split_scope(self, nodeid: str) -> str:
        return "live_server" if nodeid.startswith(HEARING) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return TogetherByServer(config, log) if config.getoption("dist") == "loadfile" else None


@contextmanager
def serving(app: FastAPI, *, start_seconds: float = 60.0, **options: Any) -> Iterator[str]:
    """The base URL of a real HTTP server for this app, in a thread, that starts in time. `options` are uvicorn's."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, **options))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + start_seconds
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the test server did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@contextmanager
def service_process(
    data_dir: Path, program: tuple[str, ...] = ("src.main",), /, **settings: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The base URL and the process of `python -m src.main` on embedded engines, once it is ready."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "DATA_DIR": str(data_dir), **_SMALL, **settings}
    with (data_dir.parent / f"{data_dir.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *program], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _await_ready(f"http://127.0.0.1:{port}", process, Path(log.name))
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of one service on embedded engines, shared by all tests of this worker that only use it. Its live
    sessions leave nothing out, however late a loaded machine is.
    """
    with service_process(tmp_path_factory.mktemp("live") / "data", ("tests.servers.patient_service",)) as (url, _):
        yield url


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["S3Server"]:
    """An S3 endpoint shared by all tests of this worker, each with buckets of its own."""
    from tests.servers.s3 import s3_running  # noqa: PLC0415 - only these tests pay for boto3's import

    with s3_running(tmp_path_factory.mktemp("s3")) as server:
        yield server
