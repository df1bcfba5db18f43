"""The owner of the database's connections.

SQLite has one writer at a time, so all writes of this process go through one connection, in the order in which they
came, and each takes the write lock when it begins: nothing is refused with "database is locked" half-way. Reads have
connections of their own, which in WAL mode never wait for a writer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Table, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from src.adapters.database import sqlite
from src.adapters.database.migrate import migrate
from src.domain.errors import EngineUnavailable, Overloaded

logger = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS = 2.0

_OPTIONS: dict[str, Any] = {
    "max_overflow": 0,
    "hide_parameters": True,  # an error's text goes to logs, and the parameters are what people said
}

Insert = sqlite_dialect.Insert | postgresql.Insert
"""INSERT that may say ON CONFLICT: the same words in both dialects."""


class Database:
    """Connections to the database at `url`, an SQLAlchemy URL with an asyncio driver: SQLite or Postgres.

    `pool_size` connections read, and write too where the database has many writers; SQLite has one more that writes.
    `timeout_seconds` bounds the wait for a connection and, on SQLite, for another process's write.
    Raises ValueError for SQLite in memory.
    """

    def __init__(self, url: str, *, pool_size: int = 4, timeout_seconds: float = 10.0) -> None:
        self._url = make_url(url)
        if self._is_sqlite:
            self._reader, self._writer = _sqlite_engines(self._url, pool_size, timeout_seconds)
        else:
            options = {**_OPTIONS, "pool_size": pool_size, "pool_timeout": timeout_seconds}
            self._writer = create_async_engine(self._url, pool_pre_ping=True, **options)
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def start(self) -> None:
        """Make the database and bring it to the newest schema; several processes may. Raises EngineUnavailable."""
        with _translated():
            await asyncio.to_thread(migrate, self._url)

    async def close(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """For one SELECT. Raises Overloaded, EngineUnavailable."""
        with _translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end, rolled back by an exception. Raises Overloaded, EngineUnavailable."""
        with _translated():
            async with self._writer.begin() as connection:
                yield connection

    def insert(self, table: Table) -> Insert:
        return sqlite_dialect.insert(table) if self._is_sqlite else postgresql.insert(table)


def _sqlite_engines(url: URL, readers: int, timeout_seconds: float) -> tuple[AsyncEngine, AsyncEngine]:
    sqlite.file_of(url)
    options: dict[str, Any] = {
        **_OPTIONS,
        "connect_args": sqlite.connect_arguments(timeout_seconds),
        "pool_timeout": timeout_seconds,
    }
    reader = create_async_engine(url, pool_size=readers, isolation_level="AUTOCOMMIT", **options)
    writer = create_async_engine(url, pool_size=1, **options)
    sqlite.begin_immediate(writer)
    sqlite.add_pragmas(reader)
    sqlite.add_pragmas(writer)
    return reader, writer


@contextmanager
def _translated() -> Iterator[None]:
    """Foreign errors that mean "not now" become ours; a broken constraint stays what it is, a defect."""
    try:
        yield
    except PoolTimeout as error:
        raise Overloaded("The database is busy. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS) from error
    except (OperationalError, InterfaceError, OSError) as error:
        logger.warning("The database does not answer: %s", type(error.__cause__ or error).__name__)
        detail = "The database does not answer. Try again."
        raise EngineUnavailable(detail, retry_after_seconds=_RETRY_AFTER_SECONDS) from error
