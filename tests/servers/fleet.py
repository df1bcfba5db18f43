"""A service scaled out on one machine: an API process, workers, and the real Postgres and Redis between them."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from src.bootstrap.storage import new_key
from tests.fakes.stand_in import Start, cancelled_beside, starts
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 90.0
_STOP_SECONDS = 30.0


class Fleet:
    """Processes of `tests.fakes.stand_in`, which share a database, a Redis and a folder. All end with the block."""

    def __init__(self, folder: Path, postgres: PostgresServer, redis: RedisServer, **settings: str) -> None:
        self.folder = folder
        self.postgres = postgres
        self.redis = redis
        self.database_url = postgres.ready_database()
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": redis.url,
            "DATA_DIR": str(folder / "data"),
            "STORAGE_KEYS": new_key(),
            "PSEUDONYM_KEY": secrets.token_hex(16),
            "STAND_IN_STARTS": str(folder / "starts"),
            # High, but there: what limits does without Redis has to be seen.
            "RATE_LIMIT_REQUESTS_PER_MINUTE": "1000000",
            "RATE_LIMIT_TRANSLATIONS_PER_MINUTE": "1000000",
            **settings,
        }
        self.programs: dict[str, tuple[str, ...]] = {role: ("tests.fakes.stand_in", role) for role in ("api", "worker")}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.urls: list[str] = []

    @property
    def url(self) -> str:
        return self.urls[0]

    def starts(self) -> list[Start]:
        """Of messages, by all workers."""
        return starts(self.folder / "starts")

    def cancelled(self) -> list[str]:
        """The words of messages whose work was cancelled."""
        path = cancelled_beside(self.folder / "starts")
        return path.read_text().splitlines() if path.exists() else []

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.processes.index(process)}.log").read_text(errors="replace")

    def start_api(self) -> subprocess.Popen[bytes]:
        """Returns when it is ready."""
        port = free_port()
        process = self._spawn("api", PORT=str(port), WORKERS="remote")
        url = f"http://127.0.0.1:{port}"
        self._await(process, "api", lambda: _is_ready(url))
        self.urls.append(url)
        return process

    def start_workers(self, count: int) -> list[subprocess.Popen[bytes]]:
        """Returns when they are ready."""
        new = [self._spawn("worker") for _ in range(count)]
        for process in new:
            self._await(process, "worker", partial(self._says_it_is_ready, process))
        self.workers += new
        return new

    def ready_workers(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None and self._says_it_is_ready(worker)]

    def replace_dead_workers(self) -> None:
        """As an orchestrator does; the new ones may die before they are ready, as while there is no database."""
        for worker in [worker for worker in self.workers if worker.poll() is not None]:
            self.workers.remove(worker)
            self.workers.append(self._spawn("worker"))

    def kill(self, worker: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
        """Returns when it is gone."""
        self.end(worker, how)
        self.workers.remove(worker)

    def end(self, worker: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
        """As `kill`, but it is one of the dead that are to be replaced."""
        worker.send_signal(how)
        worker.wait(_STOP_SECONDS)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(_STOP_SECONDS)

    def _spawn(self, role: str, **settings: str) -> subprocess.Popen[bytes]:
        number = len(self.processes)
        with (self.folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.programs[role]],
                cwd=_ROOT,
                env={**self.environment, **settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def _says_it_is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        return "the worker is ready" in self.log(process)

    def _await(self, process: subprocess.Popen[bytes], role: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the {role} did not become ready:\n{self.log(process)[-4000:]}")
            time.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def attempts(number: int) -> dict[str, int]:
    """For `tests.support.options`: so many starts of one job, or call, before it is dead."""
    return {f"src.bootstrap.{part}.MAX_ATTEMPTS": number for part in ("jobs", "fleet")}


@contextmanager
def fleet(
    folder: Path, postgres: PostgresServer, redis: RedisServer, *, workers: int, **settings: str
) -> Iterator[Fleet]:
    """One API process and `workers` workers, ready."""
    made = Fleet(folder, postgres, redis, **settings)
    try:
        made.start_api()
        made.start_workers(workers)
        yield made
    finally:
        made.close()
