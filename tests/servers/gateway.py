"""Debian's real nginx with docker/gateway/nginx.conf, and PgBouncer, each on a free port and in a folder of its own."""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.servers.certificates import self_signed
from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
_CONFIGURATION = ROOT / "docker" / "gateway" / "nginx.conf"
_START_SECONDS = 15.0


class Nginx:
    """`servers`: what stands behind it, as host:port. Its log of requests is `access`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.certificate, self._key = self_signed(folder / "tls")
        self.access, self.errors = folder / "access.log", folder / "error.log"
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:  # its workers are another user
            folder.chmod(0o755)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext:
        """Of a client that trusts its certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def serve(self, *servers: str) -> None:
        """Start, or go on with these servers behind it. Returns when it answers."""
        self._write(servers)
        if self._process is None:
            program = _program("nginx")
            self._process = subprocess.Popen([program, "-g", "daemon off;", "-c", self._folder / "nginx.conf"])
            _await("nginx", self._process, self._answers)
            return
        before = self._workers()
        self._process.send_signal(signal.SIGHUP)
        _await("nginx", self._process, lambda: bool(self._workers() - before) and all(map(_leaves, before)))

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_SECONDS)

    def _write(self, servers: tuple[str, ...]) -> None:
        """As it is in the repository, but for addresses and places of files."""
        text = _CONFIGURATION.read_text()
        for there, here in {
            "/tmp/": f"{self._folder}/",  # noqa: S108 - as the file has it
            "server translator:8000;": " ".join(f"server {server};" for server in servers),
            "listen 8443 ": f"listen 127.0.0.1:{self.port} ",
            "/etc/nginx/tls/tls.crt": str(self.certificate),
            "/etc/nginx/tls/tls.key": str(self._key),
            "/dev/stdout": str(self.access),
            "/dev/stderr": str(self.errors),
            "worker_processes auto;": "worker_processes 1;",
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        (self._folder / "nginx.conf").write_text(text)

    def _workers(self) -> set[str]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return set(children.split())

    def _answers(self) -> bool:
        try:
            httpx.get(f"{self.url}/health/live", verify=self.tls, timeout=5)
        except httpx.TransportError:
            return False
        return True


class PgBouncer:
    """In transaction mode before the Postgres at `port`, with its defaults else."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._postgres = port
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self._folder / "users.txt").write_text('"postgres" ""\n')
        (self._folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._postgres}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
            f"listen_port={self.port}\nauth_type=trust\nauth_file={self._folder}/users.txt\npool_mode=transaction\n"
            f"default_pool_size=6\nunix_socket_dir=\nlogfile={self._folder}/pgbouncer.log\n"
        )
        command: list[str | Path] = [_program("pgbouncer"), "-q", self._folder / "pgbouncer.ini"]
        user = pwd.getpwnam("postgres") if os.getuid() == 0 else None  # it refuses to run as root
        if user is not None:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._process = subprocess.Popen(command, user=user.pw_uid if user else None, extra_groups=[] if user else None)
        _await("pgbouncer", self._process, self._answers)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_SECONDS)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _leaves(worker: str) -> bool:
    """It takes no more requests, and finishes those that it has."""
    try:
        return "shutting down" in Path(f"/proc/{worker}/cmdline").read_text()
    except OSError:
        return True


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not installed: run scripts/setup --dev, or apt-get install {name}")
    return found


def _await(name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{name} did not start")
        time.sleep(0.05)
