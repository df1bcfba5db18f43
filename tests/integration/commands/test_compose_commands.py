"""What docker/docker-compose.yml runs in others' images, run with the same programs of this machine."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, find_program
from tests.servers.redis import ONCE
from tests.unit.deployment.test_compose import SECRETS, SERVICES

PASSWORD = SECRETS["REDIS_PASSWORD"]


@contextmanager
def _redis(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Redis as compose starts it, but for its folder, and its port, which another may have here."""
    shell, flag, script = SERVICES["redis"]["command"]
    script = script.replace("dir /data", f"dir {folder}\nport {port}")
    process = subprocess.Popen([shell, flag, script], env=os.environ | SERVICES["redis"]["environment"])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _ping(port: int) -> bool:
    """Its health check."""
    kind, check = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    environment = os.environ | SERVICES["redis"]["environment"]
    command = check.replace("redis-cli", f"redis-cli -p {port}")
    return (
        subprocess.run(
            ["sh", "-c", command], env=environment, timeout=60, check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


def _await_ping(port: int) -> None:
    deadline = time.monotonic() + 60
    while not _ping(port):
        assert time.monotonic() < deadline, "Redis does not answer"
        time.sleep(0.05)


def test_redis_asks_for_its_password_and_shows_it_to_nobody(tmp_path: Path) -> None:
    port = free_port()
    assert not _ping(port)
    with _redis(tmp_path, port) as process:
        _await_ping(port)
        with pytest.raises(redis.AuthenticationError), redis.Redis(port=port, retry=ONCE) as stranger:
            stranger.ping()
        command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert command_line.startswith(b"redis-server")
        assert PASSWORD.encode() not in command_line


def test_redis_keeps_what_it_has_written_and_makes_room_in_the_cache(tmp_path: Path) -> None:
    port = free_port()
    with _redis(tmp_path, port):
        _await_ping(port)
        with redis.Redis(port=port, password=PASSWORD) as client:
            client.set("kept", "yes")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    with _redis(tmp_path, port):
        _await_ping(port)
        with redis.Redis(port=port, password=PASSWORD) as client:
            assert client.get("kept") == b"yes"


def test_the_health_check_of_postgres(postgres: PostgresServer) -> None:
    kind, program, *arguments = SERVICES["postgres"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "pg_isready")
    command = [find_program(program), *arguments]
    for port, code in ((postgres.port, 0), (free_port(), 2)):
        assert subprocess.run(command, env={"PGPORT": str(port)}, timeout=60, check=False).returncode == code
