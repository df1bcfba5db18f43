"""A real Postgres for tests: a cluster of its own in a temporary folder, on a free port, gone when the tests end."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from src.adapters.database import consent_tables, deletion_tables
from src.adapters.database.migrate import migrate
from src.adapters.database.tables import metadata
from tests.servers.ports import free_port

_TABLES = [table.name for table in metadata.sorted_tables]
assert {consent_tables.consents.name, deletion_tables.deletions.name} <= {*_TABLES}

HOW_TO_INSTALL = "Postgres is not installed: run scripts/setup --dev, or apt-get install postgresql."

_START_SECONDS = 30.0
_OPTIONS = {
    "fsync": "off",  # nothing here outlives the machine; but a commit outlives the server
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",  # plans are read after an ANALYZE; at no other moment may they change
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
    "timezone": "Asia/Kathmandu",  # not UTC: whoever forgets a zone is five hours and three quarters off
}


def find_program(name: str) -> str:
    """Debian keeps the programs of each release apart, and out of PATH. Raises RuntimeError where there are none."""
    releases = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(releases, key=lambda path: int(path.parts[-3]), default=None)
    found = str(newest) if newest else shutil.which(name)
    if found is None:
        raise RuntimeError(HOW_TO_INSTALL)
    return found


class PostgresServer:
    """One cluster. `port` stays the same through restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        # Postgres refuses to run as root; this process may become its user, and stays the parent that can signal it.
        self._user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: str | None = None
        self._clean: str | None = None
        self.port = free_port()

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://postgres:not-asked-for@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        """Make the cluster's files."""
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        # no --locale of the machine: what sorts how must not depend on it
        arguments = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [find_program("initdb"), *arguments, "-D", self._folder / "data"],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as_user(),
        )

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError, with its log, when it does not."""
        deadline = time.monotonic() + _START_SECONDS
        self._process = self._spawn()
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Postgres did not start:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.02)
            if self._process.poll() is not None:  # as while children of a killed server still hold its memory
                time.sleep(0.2)
                self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {**_OPTIONS, "port": str(self.port), "unix_socket_directories": str(self._folder)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [find_program("postgres"), "-D", self._folder / "data", *arguments]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **self._as_user())

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT or SIGKILL at once, as a crash does; SIGINT after it has thrown out its clients."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def speak_tls(self, certificate: Path, key: Path) -> None:
        """From now on, to those who ask for it."""
        for source in (certificate, key):
            target = self._folder / "data" / source.name
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
            if self._user is not None:
                os.chown(target, self._user.pw_uid, self._user.pw_gid)
        self.sql(f"ALTER SYSTEM SET ssl_cert_file = '{certificate.name}'")
        self.sql(f"ALTER SYSTEM SET ssl_key_file = '{key.name}'")
        self.sql("ALTER SYSTEM SET ssl = on")
        self.restart()

    def new_database(self, template: str = "template1") -> str:
        """The URL of an empty database that nobody else has."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def ready_database(self) -> str:
        """As `new_database`, with the newest schema."""
        if self._ready is None:
            self._ready = self.new_database()
            with ThreadPoolExecutor(1) as thread:  # this one may have a loop that runs
                thread.submit(migrate, make_url(self._ready)).result()
        return self.new_database(name_of(self._ready))

    def clean_database(self) -> str:
        """The same one each time, with the newest schema: whoever was there is thrown out, and all rows are gone."""
        if self._clean is None:
            self._clean = self.ready_database()
        database = name_of(self._clean)
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")  # noqa: S608
        self.sql(f"TRUNCATE {', '.join(_TABLES)} RESTART IDENTITY CASCADE", database)
        return self._clean

    def new_owner(self, password: str) -> tuple[str, str]:
        """A role that the server asks for its password, and a database of its own. Returns their names."""
        role, database = f'owner "{uuid.uuid4().hex}"', f"it's {uuid.uuid4().hex} = \\"
        quoted_role, quoted_password = role.replace('"', '""'), password.replace("'", "''")
        self.sql(f"CREATE ROLE \"{quoted_role}\" LOGIN PASSWORD '{quoted_password}'")
        self.sql(f'CREATE DATABASE "{database}" OWNER "{quoted_role}"')
        rules = self._folder / "data" / "pg_hba.conf"
        rules.write_text(f'host all "{quoted_role}" 127.0.0.1/32 scram-sha-256\n{rules.read_text()}')
        self.sql("SELECT pg_reload_conf()")
        return role, database

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for one statement, without headings."""
        command: list[str | Path] = [
            find_program("psql"),
            "-XAtq",
            "-h",
            self._folder,
            "-p",
            str(self.port),
            "-U",
            "postgres",
        ]
        run = subprocess.run(
            [*command, "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if run.returncode != 0:
            raise RuntimeError(run.stderr)
        return run.stdout.strip()

    def dump(self, url: str) -> str:
        """Everything that is in a database, as statements."""
        program = find_program("pg_dump")
        command = [program, "-h", str(self._folder), "-p", str(self.port), "-U", "postgres", name_of(url)]
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        return re.sub(r"(?m)^\\(un)?restrict .*$", "", text)  # newer releases put a random word there

    def _answers(self) -> bool:
        probe = [find_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False, timeout=10).returncode == 0

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": self._folder}


def name_of(url: str) -> str:
    """The database's name."""
    return re.sub(r".*/", "", url)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A new cluster that runs. Not in pytest's folders: those are this user's alone, and Postgres may be another."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests, each with databases of its own. Who stops it starts it again before the test ends."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without rows: the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.clean_database()
