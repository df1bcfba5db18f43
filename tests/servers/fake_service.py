"""The service on fake engines, for a process of its own: `uvicorn --factory tests.servers.fake_service:app`.

Everything else is as the environment's settings say. It starts sooner than with real engines.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from src.bootstrap_engines import Engines
from src.config.settings import Settings
from src.main import create_app
from tests.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeTranslator, FakeVoice
from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def app() -> FastAPI:
    engines = Engines(FakeDecoder(), FakeTranscriber(), (FakeTranslator(),), FakeVoice(), FakeAnalyzer(), runners={})
    return create_app(Settings(_env_file=None), engines)


@contextmanager
def fake_service_process(data_dir: Path, **settings: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The base URL and the process, once it is ready. What it logs is in `<data_dir>.log`, all starts together."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.servers.fake_service:app", "--port", str(port)]
    environment = {**os.environ, "DATA_DIR": str(data_dir), **settings}
    with Path(f"{data_dir}.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await_ready(f"http://127.0.0.1:{port}", process, Path(log.name))
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text()[-4000:]}")
