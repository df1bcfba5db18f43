"""The database: a dump of one moment, and the way back in one transaction."""

import asyncio
import os
import re
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import DEVNULL, PIPE

from sqlalchemy import make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from scripts.backups.archive import Source
from scripts.parts.command import BackupError, told_of
from src.adapters.database import postgres, sqlite
from src.adapters.database.engine import Database
from src.adapters.database.tables import translation_jobs, voice_profiles
from src.bootstrap.stores import open_database
from src.config.settings import Settings
from src.domain.jobs import JobStatus

_LOCK_SECONDS = 30  # for a migration, or whoever else has the tables
_OPEN = (JobStatus.PENDING.value, JobStatus.PROCESSING.value)
_REVISION = text("SELECT version_num FROM alembic_version")
_TABLES = {
    "postgresql": text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()"),
    "sqlite": text("SELECT name FROM sqlite_master WHERE type = 'table'"),
}
_OTHERS = text(f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = '{postgres.APPLICATION_NAME}'
""")  # noqa: S608 - a constant


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, URL]]:
    """The service's database. Raises BackupError, also for errors of what is done with it."""
    try:
        url = postgres.with_driver(make_url(settings.effective_database_url))
        database = open_database(settings, pool_size=1)
    except (ArgumentError, ValueError):  # its words may hold the password
        raise BackupError(
            "DATABASE_URL is postgresql+asyncpg://user@host/name or sqlite+aiosqlite:///file.", 2
        ) from None
    try:
        with told_of(f"The database {f'{url.host}:{url.port or 5432}/' if url.host else ''}{url.database}"):
            yield database, url
    finally:
        await database.close()


async def tables_in(database: Database, url: URL) -> list[str]:
    """Their names, quoted for Postgres; none for an SQLite file that is not there."""
    kind = url.get_backend_name()
    if kind == "sqlite" and not sqlite.file_of(url).is_file():
        return []
    return [name for (name,) in await database.read(_TABLES[kind])]


async def files_of(database: Database) -> set[str]:
    """The keys of the files that rows refer to."""
    jobs, profiles = translation_jobs.c, voice_profiles.c
    query = select(profiles.embedding_path, profiles.reference_audio_path, profiles.additional_audio_paths)
    rows = await database.read(query)
    keys = {key for row in rows for key in [*row[:2], *(row.additional_audio_paths or ())]}
    results = select(jobs.result["audio_key"].as_string()).where(jobs.result.is_not(None))
    for query in (results, select(jobs.input_key).where(jobs.status.in_(_OPEN))):  # inputs go afterwards
        keys |= {row[0] for row in await database.read(query) if row[0]}
    return keys


async def dump(database: Database, url: URL, target: Path) -> Source:
    """To a new file, as it is at one moment, while others go on writing. Raises BackupError."""
    if "alembic_version" not in await tables_in(database, url):
        raise BackupError("The database holds no tables of this service, or is not there.")
    revision = str((await database.read(_REVISION))[0][0])
    if url.get_backend_name() == "sqlite":
        await asyncio.to_thread(_copy, sqlite.file_of(url), target, checked=True)
        return Source(kind="sqlite", schema_revision=revision, schema_name="main")
    schema = str((await database.read(text("SELECT current_schema()")))[0][0])
    how = [f'--schema="{schema}"', "--format=custom", f"--lock-wait-timeout={_LOCK_SECONDS}s", f"--file={target}"]
    await _run("pg_dump", url, *how, "--no-owner", "--no-privileges")
    return Source(kind="postgresql", schema_revision=revision, schema_name=schema)


async def check_target(database: Database, url: URL, source: Source, *, overwrite: bool) -> None:
    """Raises BackupError where the dump must not go."""
    if url.get_backend_name() != source.kind:
        raise BackupError(f"The backup is of {source.kind}: set DATABASE_URL to such a database.")
    tables = await tables_in(database, url)
    if tables and not overwrite:
        raise BackupError(f"The database is not empty: it has {len(tables)} tables. --overwrite replaces them.")
    if tables and source.kind == "postgresql" and (await database.read(_OTHERS))[0][0]:
        raise BackupError("The database is used by the service: stop it and its workers.")


async def load(path: Path, source: Source, url: URL, tables: list[str]) -> None:
    """All of the dump or nothing of it, in the place of `tables`. Raises BackupError."""
    if source.kind == "sqlite":
        sqlite.make_private_file(sqlite.file_of(url))
        return await asyncio.to_thread(_copy, path, sqlite.file_of(url))
    # pg_restore --clean stumbles over tables that a newer release has added: psql runs both in one transaction
    clear, fill = path.with_name("clear.sql"), path.with_name("fill.sql")
    timeout = f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s';\n"
    clear.write_text(f"{timeout}DROP TABLE {', '.join(tables)} CASCADE;\n" if tables else "")
    only = [f"--schema={source.schema_name}", "--no-owner", "--no-privileges"]
    await _run("pg_restore", None, *only, f"--file={fill}", str(path))
    how = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--single-transaction"]
    return await _run("psql", url, *how, f"--file={clear}", f"--file={fill}")


def _copy(source: Path, target: Path, *, checked: bool = False) -> None:
    """In one transaction of the target, from one of the source. `checked`: it is whole, and in one file."""
    deadline = time.monotonic() + _LOCK_SECONDS

    def in_time(_status: int, remaining: int, _total: int) -> None:
        if remaining and time.monotonic() > deadline:  # sqlite3 would wait for ever
            raise BackupError("Another program keeps the database locked: stop the service, and try again.")

    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as to:
        one.backup(to, progress=in_time)
        if checked and to.execute("PRAGMA journal_mode = DELETE").execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise BackupError(f"The database {source} is damaged: PRAGMA quick_check says so.")


async def _run(name: str, url: URL | None, *arguments: str) -> None:
    """One of Postgres's programs; they say themselves when they are too old. Cancelled, it is killed. Everybody on the
    machine can read a command line, but not the environment. Without a password in the URL the program looks for
    PGPASSWORD and ~/.pgpass.
    """
    if (program := shutil.which(name)) is None:
        raise BackupError(f"{name} is needed, of the server's release or newer: apt-get install postgresql-client.")
    environment = os.environ | {"LC_ALL": "C"}
    if url:
        query = {"sslmode" if key == "ssl" else key: value for key, value in url.query.items()}
        if password := url.password or query.pop("password", None):
            environment["PGPASSWORD"] = str(password)
        address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
        arguments = (*arguments, "--no-password", f"--dbname={address.render_as_string()}")
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment
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
