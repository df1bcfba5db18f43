"""Brings a database to the newest schema: `python -m src.adapters.database.migrate [URL]`.

Without a URL that of DATABASE_URL is taken: other users of the machine can read a command line, and with it a password.

A migration is a file in `migrations/versions` with `revision`, `down_revision` and `upgrade()`. Migrations go forward
only; the way back is a backup. All that are missing run in one transaction, under a lock: processes that start together
wait for the first and then find nothing to do.
"""

import asyncio
import logging
import os
import sys
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from src.adapters.database import postgres, sqlite
from src.adapters.database.postgres import FailureKind

LOCK_TIMEOUT_SECONDS = 60.0
"""How long a process waits for another one's migration."""

CONNECT_TIMEOUT_SECONDS = 10.0

_POSTGRES_LOCK = 7_205_759_403  # any number that no other program on the database takes
_alembic = threading.Lock()  # alembic keeps its context in module globals


def migrate(url: URL, to: str = "head") -> None:
    """Make the database if it is an SQLite file, and run the migrations that it lacks, up to the revision `to`.

    Blocks: call it in a thread.

    Raises sqlalchemy.exc.DBAPIError or OSError when the database does not answer or another process keeps the lock.
    """
    with _alembic:
        asyncio.run(_migrate(url, to))


async def _migrate(url: URL, to: str) -> None:
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        sqlite.make_private_file(sqlite.file_of(url))
    if is_sqlite:
        arguments = sqlite.connect_arguments(LOCK_TIMEOUT_SECONDS)
    else:
        url, asked = postgres.url_options(url)
        arguments = {"timeout": CONNECT_TIMEOUT_SECONDS, **asked}
    engine = create_async_engine(url, poolclass=NullPool, connect_args=arguments)
    try:
        if is_sqlite:
            await sqlite.use_wal(engine)
            sqlite.begin_immediate(engine)
        async with engine.begin() as connection:
            if not is_sqlite:
                await _lock_postgres(connection)
            await connection.run_sync(_upgrade, to)
    finally:
        await engine.dispose()


async def _lock_postgres(connection: AsyncConnection) -> None:
    """Until the transaction ends."""
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS * 1000:.0f}ms'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def main(arguments: list[str]) -> int:
    url = arguments[0] if arguments else os.environ.get("DATABASE_URL")
    if not url or len(arguments) > 1:
        sys.stderr.write("usage: python -m src.adapters.database.migrate [URL], or the URL in DATABASE_URL\n")
        return 2
    logging.basicConfig(level=logging.INFO)
    database = postgres.with_driver(make_url(url))
    try:
        migrate(database)
    except (DBAPIError, OSError) as error:
        kind = postgres.failure_kind(error)
        if kind is FailureKind.DEFECT or database.get_backend_name() == "sqlite":
            raise
        sys.stderr.write(f"The database was not migrated: {kind.value} ({postgres.cause_of(error)}).\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
