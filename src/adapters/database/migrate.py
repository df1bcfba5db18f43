"""Brings a database to the newest schema: `python -m src.adapters.database.migrate URL`.

A migration is a file in `migrations/versions` with `revision`, `down_revision` and `upgrade()`. Migrations go forward
only; the way back is a backup. All that are missing run in one transaction, under a lock: processes that start together
wait for the first and then find nothing to do.
"""

import asyncio
import logging
import sys
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from src.adapters.database import sqlite

LOCK_TIMEOUT_SECONDS = 60.0
"""How long a process waits for another one's migration."""

_POSTGRES_LOCK = 7_205_759_403  # any number that no other program on the database takes
_alembic = threading.Lock()  # alembic keeps its context in module globals


def migrate(url: URL) -> None:
    """Make the database if it is an SQLite file, and run the migrations that it lacks. Blocks: call it in a thread.

    Raises sqlalchemy.exc.OperationalError when the database does not answer or another process keeps the lock.
    """
    with _alembic:
        asyncio.run(_migrate(url))


async def _migrate(url: URL) -> None:
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        sqlite.make_private_file(sqlite.file_of(url))
    arguments = sqlite.connect_arguments(LOCK_TIMEOUT_SECONDS) if is_sqlite else {}
    engine = create_async_engine(url, poolclass=NullPool, connect_args=arguments)
    try:
        if is_sqlite:
            await sqlite.use_wal(engine)
            sqlite.begin_immediate(engine)
        async with engine.begin() as connection:
            if not is_sqlite:
                await _lock_postgres(connection)
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def _lock_postgres(connection: AsyncConnection) -> None:
    """Until the transaction ends."""
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS:.0f}s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m src.adapters.database.migrate URL\n")
        return 2
    logging.basicConfig(level=logging.INFO)
    migrate(make_url(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
