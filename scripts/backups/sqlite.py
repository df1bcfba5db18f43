"""Copies of an SQLite database that are whole while the service writes, and bringing one back in one transaction."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from scripts.backups.contents import Contents, connected, count_rows, read_contents
from scripts.backups.errors import BackupError, Damaged, told_of_database
from scripts.backups.manifest import Source
from src.adapters.database.sqlite import file_of, make_private_file

_LOCK_SECONDS = 30.0
"""How long a copy waits for whoever else has the database."""


async def dump(url: URL, target: Path) -> tuple[Source, Contents]:
    """A copy of one moment, to a new file. Raises BackupError."""
    path = file_of(url)
    if not path.is_file():
        raise BackupError(f"There is no database at {path}: DATABASE_URL or DATA_DIR is another, or nothing ran yet.")
    make_private_file(target)
    await asyncio.to_thread(_copy, path, target, "PRAGMA journal_mode = DELETE")
    async with connected(url.set(database=str(target)), _LOCK_SECONDS) as connection:
        contents = await read_contents(connection)
    if contents.revision is None:
        raise BackupError(f"The database {path} holds no tables of this service: there is nothing to save.")
    source = Source(
        kind="sqlite",
        server_version=sqlite3.sqlite_version,
        schema_revision=contents.revision,
        schema_name="main",
        written_by=f"sqlite {sqlite3.sqlite_version}",
    )
    return source, contents


async def check(path: Path) -> None:
    """Raises Damaged."""
    await asyncio.to_thread(_check, path)


async def check_target(url: URL, *, overwrite: bool) -> None:
    """Raises BackupError where the copy must not go."""
    path = file_of(url)
    if not path.is_file() or overwrite:
        return
    with told_of_database(str(path)):
        async with connected(url, _LOCK_SECONDS) as connection:
            rows = await count_rows(connection)
    if rows:
        raise BackupError(
            f"The database {path} is not empty: {len(rows)} tables with {sum(rows.values())} rows."
            " --overwrite deletes them and restores the backup in their place; stop the service first."
        )


async def restore(path: Path, url: URL) -> None:
    """Everything, in the place of everything that is there. Raises BackupError."""
    target = file_of(url)
    make_private_file(target)
    await asyncio.to_thread(_copy, path, target)


def _copy(source: Path, target: Path, *afterwards: str) -> None:
    """In one transaction of the target, from one of the source."""
    deadline = time.monotonic() + _LOCK_SECONDS

    def in_time(_status: int, remaining: int, _total: int) -> None:
        if remaining and time.monotonic() > deadline:  # sqlite3 would wait for ever
            raise BackupError("Another program keeps the database locked: stop the service, and try again.")

    with _told(source), closing(_opened(source)) as one, closing(_opened(target)) as other:
        one.backup(other, progress=in_time)
        for statement in afterwards:
            other.execute(statement)
    _check(target)


def _check(path: Path) -> None:
    with _told(path), closing(_opened(path)) as connection:
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise Damaged(f"The database {path} is damaged ({type(error).__name__}).") from error
    if found != "ok":
        raise Damaged(f"The database {path} is damaged: PRAGMA quick_check says so.")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupError(f"The database {path}: {type(error).__name__} ({error}).") from error
