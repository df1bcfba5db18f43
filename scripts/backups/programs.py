"""Postgres's own programs: finding them in the release that is needed, and running them."""

import asyncio
import math
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from scripts.backups.errors import BackupError

_VERSION_SECONDS = 10.0
_KEPT_VARIABLES = {"PATH", "HOME", "TMPDIR", "SYSTEMROOT"}
_LONGEST_ERROR = 300  # characters


@dataclass(frozen=True, slots=True)
class Program:
    """`release`: the first number of its version."""

    path: Path
    release: int


async def find(name: str, at_least: int) -> Program:
    """The one of the lowest release that is new enough: a newer one says things that an older server does not
    understand. Raises BackupError, with what to install.
    """
    found = [program for path in _candidates(name) if (program := await asyncio.to_thread(_described, path))]
    fitting = [program for program in found if program.release >= at_least]
    if fitting:
        return min(fitting, key=lambda program: program.release)
    there = f"there is {', '.join(str(program.release) for program in found)}" if found else "there is none"
    raise BackupError(
        f"{name} of Postgres {at_least} or newer is needed, and {there}. Debian and Ubuntu: apt-get install"
        f" postgresql-client-{at_least}, or postgresql-client; elsewhere put its folder into PATH."
    )


def environment(url: URL, connect_seconds: float) -> dict[str, str]:
    """How a program reaches this database. In the environment, as everybody on the machine can read a command line.

    Without a password in the URL the program looks where asyncpg does: PGPASSWORD, and the file ~/.pgpass.
    """
    kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name.startswith("PG")}
    query = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    given = {
        "PGHOST": query.get("host") or url.host,
        "PGPORT": query.get("port") or (str(url.port) if url.port else None),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode") or query.get("ssl"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
        "PGCONNECT_TIMEOUT": str(max(2, math.ceil(connect_seconds))),
        "PGAPPNAME": "voice-translation-backup",
        "LC_ALL": "C",  # its errors in English, as `_first_error` reads them
    }
    return kept | {name: value for name, value in given.items() if value}


async def run(program: Program, arguments: Sequence[str | Path], variables: Mapping[str, str]) -> None:
    """Raises BackupError, with the program's first error. Cancelled, it kills the program."""
    process = await asyncio.create_subprocess_exec(
        program.path,
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(variables),
    )
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise BackupError(f"{program.path.name} failed: {_first_error(errors.decode(errors='replace'))}")


def _first_error(output: str) -> str:
    """The line with the error. Those after it, with DETAIL and CONTEXT, may quote rows: they are left out."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error:|ERROR:|FATAL:", line)]
    return (telling or lines or ["it says nothing"])[0][:_LONGEST_ERROR]


def _candidates(name: str) -> Iterator[Path]:
    """In PATH first. Debian keeps the programs of each release apart, and out of it; so do others."""
    for folder in os.get_exec_path():
        path = Path(folder) / name
        if path.is_file() and os.access(path, os.X_OK):
            yield path
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/libpq/bin"):
        yield from (folder / name for folder in sorted(Path("/").glob(pattern)) if (folder / name).is_file())


def _described(path: Path) -> Program | None:
    """None: it does not run."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\) (\d+)", said)
    return Program(path, int(number[1])) if number else None
