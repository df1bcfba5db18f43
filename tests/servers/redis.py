"""A real Redis of this machine's `redis-server`, on a free port and in a temporary folder."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import cast

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.ports import free_port

ONCE = Retry(NoBackoff(), 0)
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


class RedisServer:
    """Starts when entered, on one port for all its lives. Without `durable` it forgets everything when it stops.

    `options` are those of redis.conf, as `{"maxmemory": "2mb"}`.
    """

    def __init__(self, folder: Path, *, durable: bool = False, options: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        keeping = {"appendonly": "yes", "appendfsync": "always"} if durable else {"appendonly": "no"}
        self._options = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(folder), "save": "", **keeping}
        self._options |= options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it answers, at once where it runs. Raises RuntimeError."""
        if self._process is not None and self._process.poll() is None:
            return
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed: run scripts/setup --dev (apt-get install redis-server)")
        arguments = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start:\n{(self.folder / 'redis.log').read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """As an operator does: it ends what it is at."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            finally:
                self.kill()

    def kill(self) -> None:
        """As the kernel does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """The test's own eyes and hands; it blocks, and tries once."""
        with redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5, retry=ONCE) as client:
            yield client

    def flush_all(self) -> None:
        with self.client() as client:
            client.flushall()

    def milliseconds_left(self, key: str) -> int:
        """-1: for ever; -2: there is no such key."""
        with self.client() as client:
            return cast("int", client.pttl(key))

    def connections(self) -> int:
        """Open now, that of this question included."""
        with self.client() as client:
            return cast("int", cast("dict[str, object]", client.info("clients"))["connected_clients"])

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ConnectionError:
            return False


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """An empty Redis, which the test may stop."""
    shared_redis.start()
    shared_redis.flush_all()
    return shared_redis
