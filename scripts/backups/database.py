"""The database: what is in it, a dump of one moment, and the way back in one transaction."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from scripts.backups.command import BackupError, WrongUse, told_of
from scripts.backups.shelf import Source
from src.adapters.database import postgres, sqlite
from src.adapters.database.tables import translation_jobs, voice_profiles
from src.domain.jobs import JobStatus

_CONNECT_SECONDS = 5
_LOCK_SECONDS = 30  # for a migration, or whoever else has the tables
_NOT_OURS = ("--no-owner", "--no-privileges")
_OURS = "voice-translation-backup"
_OPEN = (JobStatus.PENDING.value, JobStatus.PROCESSING.value)
_SCHEMA = text("SELECT current_schema()")
_USERS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name")


def parsed(url: str) -> URL:
    """Raises WrongUse for what is no database of the service."""
    try:
        known = postgres.with_driver(make_url(url))
        if known.drivername == "postgresql+asyncpg" and known.database:
            return known
        if known.drivername == "sqlite+aiosqlite" and sqlite.file_of(known):
            return known
    except (ArgumentError, ValueError):
        pass  # its words may hold the password
    raise WrongUse("The database's URL is postgresql+asyncpg://user@host/database or sqlite+aiosqlite:///file.")


def described(url: URL) -> str:
    """For messages: without user and password."""
    if url.get_backend_name() == "sqlite":
        return f"The database {url.database}"
    return f"The database {url.query.get('host') or url.host or 'local'}:{url.port or 5432}/{url.database}"


@asynccontextmanager
async def connected(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection that may take its time. Raises BackupError, also for errors of what is done with it."""
    with told_of(described(url)):
        arguments: dict[str, Any] = {"timeout": _LOCK_SECONDS}
        if url.get_backend_name() == "postgresql":
            url, encrypted = postgres.encryption(url)
            server = {"application_name": _OURS, "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
            arguments = {"timeout": _CONNECT_SECONDS, "server_settings": server, **encrypted}
        engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
        if url.get_backend_name() == "sqlite":
            sqlite.add_pragmas(engine)  # a row that is deleted takes with it those that belong to it
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()


async def count_rows(connection: AsyncConnection) -> dict[str, int]:
    """By table; empty for a database without tables."""
    tables = await connection.run_sync(lambda one: inspect(one).get_table_names())
    quote, count = connection.dialect.identifier_preparer.quote, "SELECT count(*) FROM "
    return {table: int(await connection.scalar(text(count + quote(table))) or 0) for table in sorted(tables)}


async def revision_of(connection: AsyncConnection, rows: dict[str, int]) -> str:
    """Of its schema. Raises BackupError for a database that is not this service's."""
    if "alembic_version" not in rows:
        raise BackupError("The database holds no tables of this service.")
    return str(await connection.scalar(text("SELECT version_num FROM alembic_version")))


async def files_of(connection: AsyncConnection) -> dict[str, list[str]]:
    """The keys of the files that rows of this release's schema refer to, by `profile:ID` and `job:ID`."""
    jobs, profiles = translation_jobs.c, voice_profiles.c
    paths = profiles.embedding_path, profiles.reference_audio_path, profiles.additional_audio_paths
    found = {}
    for row in await connection.execute(select(profiles.id, *paths)):
        found[f"profile:{row.id}"] = [row.embedding_path, row.reference_audio_path, *(row.additional_audio_paths or ())]
    results = select(jobs.id, jobs.result["audio_key"].as_string()).where(jobs.result.is_not(None))
    for query in (results, select(jobs.id, jobs.input_key).where(jobs.status.in_(_OPEN))):  # inputs go afterwards
        found |= {f"job:{job}": [key] for job, key in await connection.execute(query) if key}
    return found


async def dump(url: URL, target: Path) -> tuple[Source, dict[str, int]]:
    """To a new file, while others go on writing. Returns the rows of the same moment, too. Raises BackupError."""
    if url.get_backend_name() == "postgresql":
        return await _dump_postgres(url, target)
    source = sqlite.file_of(url)
    if not source.is_file():
        raise BackupError(f"There is no database at {source}: DATABASE_URL or DATA_DIR is another, or nothing ran yet.")
    await asyncio.to_thread(_copy, source, target)
    async with connected(url.set(database=str(target))) as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode = DELETE")  # so that the one file is all of it
        if await connection.scalar(text("PRAGMA quick_check(1)")) != "ok":
            raise BackupError(f"The database {source} is damaged: PRAGMA quick_check says so.")
        rows = await count_rows(connection)
        return Source(kind="sqlite", schema_revision=await revision_of(connection, rows), schema_name="main"), rows


async def _dump_postgres(url: URL, target: Path) -> tuple[Source, dict[str, int]]:
    async with connected(url) as connection:
        frozen = await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        snapshot = await frozen.scalar(text("SELECT pg_export_snapshot()"))
        rows, schema = await count_rows(frozen), str(await frozen.scalar(_SCHEMA))
        revision = await revision_of(frozen, rows)
        what = [f'--schema="{schema}"', f"--snapshot={snapshot}", *_NOT_OURS]
        how = ["--format=custom", "--no-password", f"--lock-wait-timeout={_LOCK_SECONDS}s", f"--file={target}"]
        await _run("pg_dump", [*what, *how], url)
    return Source(kind="postgresql", schema_revision=revision, schema_name=schema), rows


async def check_target(url: URL, source: Source, *, overwrite: bool) -> bool:
    """Whether something is in it. Raises BackupError where the dump must not go."""
    users, schema = 0, "main"
    if url.get_backend_name() != source.kind:
        raise BackupError(f"{described(url)}: the backup is of {source.kind}. Give --into URL.")
    if source.kind == "sqlite" and not sqlite.file_of(url).is_file():
        return False
    async with connected(url) as connection:
        rows = await count_rows(connection)
        if source.kind == "postgresql":
            schema = await connection.scalar(_SCHEMA)
            users = await connection.scalar(_USERS, {"name": postgres.APPLICATION_NAME}) or 0
    if schema != source.schema_name:
        raise BackupError(f"{described(url)}: its search_path leads to {schema}, not to {source.schema_name}.")
    if rows and not overwrite:
        found = f"{len(rows)} tables with {sum(rows.values())} rows"
        raise BackupError(f"{described(url)} is not empty: {found}. --overwrite puts the backup in their place.")
    if rows and users:
        raise BackupError(f"{described(url)} is used by the service ({users} connections): stop it and its workers.")
    return bool(rows)


async def load(path: Path, source: Source, url: URL) -> None:
    """All of the dump or nothing of it, in the place of all that is there. Raises BackupError."""
    if source.kind == "sqlite":
        with told_of(described(url)):
            sqlite.make_private_file(sqlite.file_of(url))
        return await asyncio.to_thread(_copy, path, sqlite.file_of(url))
    async with connected(url) as connection:
        quote = connection.dialect.identifier_preparer.quote
        tables = ", ".join(quote(table) for table in await count_rows(connection))
    # pg_restore --clean stumbles over tables that a newer release has added: psql runs both in one transaction
    clear, fill = path.with_name("clear.sql"), path.with_name("fill.sql")
    timeout = f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s';\n"
    clear.write_text(f"{timeout}DROP TABLE {tables} CASCADE;\n" if tables else "")
    await _run("pg_restore", [f"--schema={source.schema_name}", *_NOT_OURS, f"--file={fill}", path], url)
    how = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"]
    return await _run("psql", [*how, "--single-transaction", f"--file={clear}", f"--file={fill}"], url)


def _copy(source: Path, target: Path) -> None:
    """In one transaction of the target, from one of the source."""
    deadline = time.monotonic() + _LOCK_SECONDS

    def in_time(_status: int, remaining: int, _total: int) -> None:
        if remaining and time.monotonic() > deadline:  # sqlite3 would wait for ever
            raise BackupError("Another program keeps the database locked: stop the service, and try again.")

    with (
        told_of(f"The database {source}"),
        closing(sqlite3.connect(source)) as one,
        closing(sqlite3.connect(target)) as to,
    ):
        one.backup(to, progress=in_time)


async def _run(name: str, arguments: Sequence[str | Path], url: URL) -> None:
    """One of Postgres's programs; they say themselves when they are too old. Cancelled, it is killed."""
    if (program := shutil.which(name)) is None:
        raise BackupError(f"{name} is needed, of the server's release or newer: apt-get install postgresql-client.")
    silent, pipe = subprocess.DEVNULL, subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=silent, stdout=silent, stderr=pipe, env=_environment(url)
    )
    try:
        errors = (await process.communicate())[1].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:  # lines after the error, with DETAIL and CONTEXT, may quote rows
        lines = [line for line in errors.splitlines() if re.search(r"error:|ERROR:|FATAL:", line)]
        raise BackupError(f"{name} failed: {(lines or ['it does not say why'])[0][:300]}")


def _environment(url: URL) -> dict[str, str]:
    """How a program reaches this database: everybody on the machine can read a command line, but not this. Without a
    password in the URL it looks where asyncpg does: PGPASSWORD, and ~/.pgpass.
    """
    given: dict[str, object] = {"HOST": url.host, "PORT": url.port, "USER": url.username, "PASSWORD": url.password}
    given |= {"DATABASE": url.database, "APPNAME": _OURS, "CONNECT_TIMEOUT": _CONNECT_SECONDS}
    given |= {"SSLMODE" if name == "ssl" else name.upper(): value for name, value in url.query.items()}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("PG")}
    return kept | {"LC_ALL": "C"} | {f"PG{name}": str(value) for name, value in given.items() if value}
