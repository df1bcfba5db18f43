"""The owner of the database's connections.

SQLite has one writer at a time, so all writes of this process go through one connection, in the order in which they
came, and each takes the write lock when it begins: nothing is refused with "database is locked" half-way. Reads have
connections of their own, which in WAL mode never wait for a writer.

Postgres has one pool for both. Its connections may be lost at any moment, when the server restarts or the network
fails. What was certainly not done is then done again, for some seconds; a transaction whose COMMIT was sent and not
answered is done again only when doing it twice is the same as doing it once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, DateTime, Executable, Row, Table, func, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from src.adapters.database import postgres, sqlite
from src.adapters.database.migrate import migrate
from src.adapters.database.postgres import FailureKind
from src.domain.accounts import Pseudonyms
from src.domain.errors import EngineUnavailable, Overloaded
from src.domain.jobs import now
from src.utils.concurrency import finish_before_cancel

logger = logging.getLogger(__name__)

T = TypeVar("T")

POOL_SIZE = 4
"""Connections of one process: Postgres's `max_connections`, 100 by default, is for all processes together."""
CONNECT_SECONDS = 5.0
_RETRY_AFTER_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.02
_PING_RETRY_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 0.5

_OPTIONS: dict[str, Any] = {
    "max_overflow": 0,
    "hide_parameters": True,  # an error's text goes to logs, and the parameters are what people said
}

Insert = sqlite_dialect.Insert | postgresql.Insert
"""INSERT that may say ON CONFLICT: the same words in both dialects."""


class Database:
    """Connections to the database at `url`, an SQLAlchemy URL: SQLite in a file, or Postgres.

    `pool_size` connections read, and write too where the database has many writers; SQLite has one more that writes.
    `timeout_seconds` bounds the wait for a connection of the pool and, on SQLite, for another process's write.
    On Postgres `connect_seconds` bounds the making of a connection, `statement_seconds` each statement, and
    `retry_seconds` the time in which a lost connection is made anew for one read or write. Once that was in vain, the
    others are told at once, until the server answers one of them.
    `pseudonym_key`: what names of the deleted are hashed with.
    Raises ValueError for SQLite in memory and for other databases, OSError for a file of certificates that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = POOL_SIZE,
        timeout_seconds: float = 10.0,
        connect_seconds: float = CONNECT_SECONDS,
        statement_seconds: float = 10.0,
        retry_seconds: float = 3.0,
        pseudonym_key: bytes = b"",
    ) -> None:
        self.pseudonyms = Pseudonyms(pseudonym_key)
        self._url = postgres.with_driver(make_url(url))
        self._retry_seconds = retry_seconds
        self._answers = True
        if self._is_sqlite:
            self._reader, self._writer = _sqlite_engines(self._url, pool_size, timeout_seconds)
        elif self._url.drivername == "postgresql+asyncpg":
            options = {**_OPTIONS, "pool_size": pool_size, "pool_timeout": timeout_seconds}
            url_alone, asked = postgres.url_options(self._url)
            options["connect_args"] = {**postgres.connect_arguments(connect_seconds, statement_seconds), **asked}
            self._writer = self._reader = create_async_engine(url_alone, **options)
            if not postgres.is_pooled(self._url):  # there a statement is prepared and executed in one transaction
                self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        else:
            raise ValueError("The database is SQLite or Postgres: sqlite+aiosqlite:///… or postgresql+asyncpg://…")

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @property
    def engines(self) -> list[Engine]:
        """SQLAlchemy's; on Postgres that which reads is a view of the other."""
        return [engine.sync_engine for engine in ((self._writer, self._reader) if self._is_sqlite else (self._writer,))]

    async def start(self) -> None:
        """Make the database and bring it to the newest schema; several processes may.

        Raises Overloaded, EngineUnavailable.
        """
        with _translated():
            await asyncio.to_thread(migrate, self._url)

    async def close(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with _translated():  # a connection from before a restart may be lost; a server that is away is said to be
            await self._until_answered(lambda: self._rows(text("SELECT 1")), _PING_RETRY_SECONDS)

    async def scrub(self) -> None:
        """Leave nothing of rows that were deleted in SQLite's files, whose log of changes keeps them for a while.

        Raises Overloaded, EngineUnavailable.
        """
        if self._is_sqlite:
            with _translated():
                async with self._reader.connect() as connection:
                    await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def read(self, query: Executable) -> Sequence[Row[Any]]:
        """The rows that one SELECT finds. Raises Overloaded, EngineUnavailable."""
        with _translated():
            return await self._served(lambda: self._rows(query))

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]], *, repeatable: bool = False) -> T:
        """What `work` returns from one transaction, which is undone when it raises.

        `work` may be called again, after what it did was undone. `repeatable`: also after it was perhaps committed.
        Raises Overloaded, EngineUnavailable: then it was not committed, or, as the detail says, nobody knows.
        """

        async def once() -> T:
            async with self._writer.connect() as connection:
                await connection.begin()
                result = await work(connection)
                try:
                    await connection.commit()
                except (DBAPIError, OSError) as error:
                    kind = postgres.failure_kind(error)
                    if kind not in (FailureKind.LOST, FailureKind.SILENT) or (repeatable and kind is FailureKind.LOST):
                        raise
                    raise _unavailable("The database stopped answering: this may be stored, or not.") from error
                return result

        with _translated():
            return await self._served(once)

    def later(self, seconds: float) -> datetime | ColumnElement[datetime]:
        """The time in `seconds` from now, by the clock that all who share this database have in common."""
        if self._is_sqlite:
            return now() + timedelta(seconds=seconds)
        return func.clock_timestamp(type_=DateTime(timezone=True)) + timedelta(seconds=seconds)

    def present(self) -> datetime | ColumnElement[datetime]:
        """The same clock, the same moment for all rows of a statement: an index can be searched for it."""
        return now() if self._is_sqlite else func.statement_timestamp(type_=DateTime(timezone=True))

    def insert(self, table: Table) -> Insert:
        return sqlite_dialect.insert(table) if self._is_sqlite else postgresql.insert(table)

    async def _rows(self, query: Executable) -> Sequence[Row[Any]]:
        async with self._reader.connect() as connection:
            return (await connection.execute(query)).all()

    async def _served(self, once: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `once` returns, perhaps not at the first try; while the server is known to be away there is but one."""
        try:
            result = await self._until_answered(once, self._retry_seconds if self._answers else 0.0)
        except (DBAPIError, OSError) as error:
            self._answers = postgres.failure_kind(error) not in (FailureKind.LOST, FailureKind.SILENT)
            raise
        self._answers = True
        return result

    async def _until_answered(self, once: Callable[[], Coroutine[Any, Any, T]], retry_seconds: float) -> T:
        """What `once` returns; again, after a pause, while connections are lost or other transactions in the way."""
        deadline = time.monotonic() + retry_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await finish_before_cancel(once())
            except (DBAPIError, OSError) as error:
                if not self._is_passing(error) or time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _is_passing(self, error: DBAPIError | OSError) -> bool:
        """Not so on SQLite: its driver has waited already, and a file that cannot be opened stays so."""
        return not self._is_sqlite and postgres.failure_kind(error) in (FailureKind.LOST, FailureKind.CONFLICT)


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


def _unavailable(detail: str) -> EngineUnavailable:
    return EngineUnavailable(detail, retry_after_seconds=_RETRY_AFTER_SECONDS)


@contextmanager
def _translated() -> Iterator[None]:
    """Foreign errors that mean "not now" become ours; a broken constraint stays what it is, a defect."""
    try:
        yield
    except PoolTimeout as error:
        raise Overloaded("The database is busy. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS) from error
    except (DBAPIError, OSError) as error:
        kind = postgres.failure_kind(error)
        if kind is FailureKind.DEFECT:
            raise
        logger.warning("The database: %s (%s)", kind.value, postgres.cause_of(error))
        if kind in (FailureKind.BUSY, FailureKind.CONFLICT):
            raise Overloaded("The database is busy. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS) from error
        raise _unavailable("The database does not answer. Try again.") from error
