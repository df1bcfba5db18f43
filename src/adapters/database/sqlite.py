"""What SQLite needs beside its URL: a private file in WAL mode, and pragmas on each connection."""

import asyncio
import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

_WAL_ATTEMPTS = 200  # 0.05 s apart


def file_of(url: URL) -> Path:
    """The database's file. Raises ValueError for a database in memory, which two connections cannot share."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("The SQLite database needs a file: sqlite+aiosqlite:///path/to/voice.db")
    return Path(url.database)


def make_private_file(path: Path) -> None:
    """Make the folder and an empty file that only this user can read; the WAL files take over the file's mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def connect_arguments(timeout_seconds: float) -> dict[str, Any]:
    """Wait that long for another process's lock; leave BEGIN to us."""
    return {"timeout": timeout_seconds, "isolation_level": None}


async def use_wal(engine: AsyncEngine) -> None:
    """Switch the file to WAL mode, which it keeps. SQLite does not wait for the lock that this needs: we do."""
    for _ in range(_WAL_ATTEMPTS):
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                return
        except OperationalError as error:
            if "locked" not in str(error.orig):
                raise
        await asyncio.sleep(0.05)
    raise TimeoutError("Another process keeps the database locked.")


def add_pragmas(engine: AsyncEngine) -> None:
    event.listen(engine.sync_engine, "connect", _set_pragmas)


def begin_immediate(engine: AsyncEngine) -> None:
    """Let every transaction take the write lock at its start: one that took it later could be refused half-way."""
    event.listen(engine.sync_engine, "begin", _begin_immediate)


def _set_pragmas(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a power cut loses the last commits, never the database
    cursor.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not only left out
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
