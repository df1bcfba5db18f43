"""What is in a database: its tables, how many rows they have, and the files that rows refer to. For both kinds of
database, and for the schemas of earlier releases, which lack columns.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from src.adapters.database import sqlite
from src.adapters.database.tables import translation_jobs, voice_profiles
from src.domain.jobs import JobStatus

REVISION_TABLE = "alembic_version"

_LOCK_SECONDS = 30.0  # of SQLite, for another process's write
_APPLICATION = "voice-translation-backup"

# Without the tables that an extension brought: no dump of ours has them.
_POSTGRES_TABLES = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'p')
      AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
      )
""")


@dataclass(frozen=True, slots=True)
class Contents:
    """`revision` None: no migration has run. `files`: keys in the storage."""

    revision: str | None
    rows: dict[str, int]
    files: frozenset[str]


@asynccontextmanager
async def connected(url: URL, connect_seconds: float) -> AsyncIterator[AsyncConnection]:
    """A connection that may take its time. Raises DBAPIError, OSError."""
    arguments: dict[str, Any] = {"timeout": _LOCK_SECONDS}
    if url.get_backend_name() == "postgresql":
        unlimited = dict.fromkeys(("statement_timeout", "idle_in_transaction_session_timeout"), "0")
        arguments = {"timeout": connect_seconds, "server_settings": {"application_name": _APPLICATION, **unlimited}}
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    if url.get_backend_name() == "sqlite":
        sqlite.add_pragmas(engine)  # a row that is deleted takes with it those that belong to it
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def read_contents(connection: AsyncConnection) -> Contents:
    """All of it in the transaction of this connection."""
    rows = await count_rows(connection)
    if REVISION_TABLE not in rows:
        return Contents(None, rows, frozenset())
    revision = await connection.scalar(text(f"SELECT version_num FROM {REVISION_TABLE}"))  # noqa: S608 - a constant
    return Contents(revision, rows, frozenset(await _files(connection, rows)))


async def count_rows(connection: AsyncConnection) -> dict[str, int]:
    """By table; empty for a database without tables."""
    quote = connection.dialect.identifier_preparer.quote
    counted = {}
    for table in await tables_of(connection):
        query = f"SELECT count(*) FROM {quote(table)}"  # noqa: S608 - the database's own name for it, quoted
        counted[table] = int((await connection.execute(text(query))).scalar_one())
    return counted


async def profiles(connection: AsyncConnection) -> dict[str, tuple[str, ...]]:
    """The keys of each voice profile's files, by its id."""
    paths = ("embedding_path", "reference_audio_path", "additional_audio_paths")
    found = {}
    for row in await connection.execute(select(voice_profiles.c.id, *(voice_profiles.c[path] for path in paths))):
        found[row.id] = (row.embedding_path, row.reference_audio_path, *(row.additional_audio_paths or ()))
    return found


async def tables_of(connection: AsyncConnection) -> list[str]:
    """By name; those that an extension brought are not among them."""
    if connection.dialect.name == "postgresql":
        return sorted((await connection.execute(_POSTGRES_TABLES)).scalars())
    return sorted(await connection.run_sync(lambda one: inspect(one).get_table_names()))


async def _files(connection: AsyncConnection, tables: dict[str, int]) -> set[str]:
    found: set[str] = set()
    if translation_jobs.name in tables:
        found |= await _column(connection, _results())
        found |= await _column(connection, _inputs())
    if voice_profiles.name in tables:
        has = await connection.run_sync(_columns_of, voice_profiles)
        for name in ("embedding_path", "reference_audio_path"):
            found |= await _column(connection, select(voice_profiles.c[name]))
        if "additional_audio_paths" in has:
            for row in await connection.execute(select(voice_profiles.c.additional_audio_paths)):
                found |= set(row[0] or ())
    return found


def _results() -> Select[Any]:
    jobs = translation_jobs.c
    return select(jobs.result["audio_key"].as_string()).where(jobs.result.is_not(None))


def _inputs() -> Select[Any]:
    """Of jobs that have not ended: later their recordings are erased."""
    jobs = translation_jobs.c
    return select(jobs.input_key).where(jobs.status.in_([JobStatus.PENDING.value, JobStatus.PROCESSING.value]))


async def _column(connection: AsyncConnection, query: Select[Any]) -> set[str]:
    return {value for value in (await connection.execute(query)).scalars() if value}


def _columns_of(connection: Connection, table: Table) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table.name)}
