"""Dumps of a Postgres database, and bringing one back in one transaction."""

import os
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.backups import programs
from scripts.backups.contents import Contents, connected, count_rows, read_contents
from scripts.backups.errors import BackupError, Damaged, told_of_database
from scripts.backups.manifest import Source
from src.adapters.database.postgres import APPLICATION_NAME

_LOCK_WAIT = "30s"
"""How long a dump waits for a migration to end, and a restore for whoever else uses the tables."""


def described(url: URL) -> str:
    """For messages: without user and password."""
    return f"{url.query.get('host') or url.host or 'local'}:{url.port or 5432}/{url.database}"


async def dump(url: URL, target: Path, connect_seconds: float) -> tuple[Source, Contents]:
    """Everything in the schema that the service uses, to a new file, while others go on writing: the rows that are
    counted and the rows that are dumped are those of one moment. Raises BackupError.
    """
    async with connected(url, connect_seconds) as connection:
        frozen = await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        snapshot = str(await frozen.scalar(text("SELECT pg_export_snapshot()")))
        contents = await read_contents(frozen)
        if contents.revision is None:
            raise BackupError(
                f"The database {described(url)} holds no tables of this service: there is nothing to save."
            )
        version = await _version(frozen)
        schema = await _schema(frozen)
        program = await programs.find("pg_dump", version)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        arguments = [f'--schema="{schema}"', f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT}"]
        common = ["--format=custom", "--no-owner", "--no-privileges", "--no-password", f"--file={target}"]
        await programs.run(program, [*common, *arguments], programs.environment(url, connect_seconds))
        release = str(await frozen.scalar(text("SHOW server_version")))
    source = Source(
        kind="postgresql",
        server_version=release,
        schema_revision=contents.revision,
        schema_name=schema,
        written_by=f"pg_dump {program.release}",
    )
    return source, contents


async def check(path: Path, source: Source) -> None:
    """Whether pg_restore can read the dump's table of contents. Raises Damaged, BackupError."""
    program = await _reader(source)
    try:
        await programs.run(program, ["--list", path], {"PATH": os.defpath, "LC_ALL": "C"})
    except BackupError as error:
        raise Damaged(f"The dump cannot be read. {error}") from error


async def check_target(url: URL, source: Source, connect_seconds: float, *, overwrite: bool) -> None:
    """Raises BackupError where the dump must not or cannot go."""
    name = described(url)
    with told_of_database(name):
        async with connected(url, connect_seconds) as connection:
            rows = await count_rows(connection)
            schema = await _schema(connection)
            using = await connection.scalar(_USERS, {"name": APPLICATION_NAME})
    if schema != source.schema_name:
        raise BackupError(
            f"The backup is of the schema {source.schema_name}, and {name} looks into {schema}:"
            f" CREATE SCHEMA {source.schema_name}, and set the role's search_path."
        )
    if rows and not overwrite:
        raise BackupError(
            f"The database {name} is not empty: {len(rows)} tables with {sum(rows.values())} rows."
            " --overwrite deletes them and restores the backup in their place."
        )
    if rows and using:
        raise BackupError(f"The service uses {name} ({using} connections): stop it and its workers first.")


async def restore(path: Path, source: Source, url: URL, folder: Path, connect_seconds: float) -> None:
    """All of the dump or nothing of it; what is in the schema goes in the same transaction. `folder`: for files of
    this user only. Raises BackupError.
    """
    with told_of_database(described(url)):
        async with connected(url, connect_seconds) as connection:
            quote = connection.dialect.identifier_preparer.quote
            tables = [f"{quote(source.schema_name)}.{quote(table)}" for table in await count_rows(connection)]
    program = await _reader(source)
    variables = programs.environment(url, connect_seconds)
    what = [f"--schema={source.schema_name}", "--no-owner", "--no-privileges"]
    if not tables:
        database = f"--dbname=dbname='{_escaped(url.database or '')}'"
        transaction = ["--single-transaction", "--exit-on-error", "--no-password"]
        await programs.run(program, [*what, *transaction, database, path], variables)
        return
    # pg_restore --clean drops what is in the dump, and stumbles over what a newer release has added beside it.
    clear, fill = folder / "clear.sql", folder / "fill.sql"
    _write(clear, f"SET LOCAL lock_timeout = '{_LOCK_WAIT}';\nDROP TABLE {', '.join(tables)} CASCADE;\n")
    _write(fill, "")
    await programs.run(program, [*what, f"--file={fill}", path], variables)
    psql = await programs.find("psql", program.release)
    quiet = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"]
    await programs.run(psql, [*quiet, "--single-transaction", f"--file={clear}", f"--file={fill}"], variables)


_USERS = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name
""")


async def _reader(source: Source) -> programs.Program:
    """pg_restore of the release whose pg_dump wrote it, or the next newer one."""
    return await programs.find("pg_restore", int(source.written_by.rpartition(" ")[2] or 0))


async def _version(connection: AsyncConnection) -> int:
    """The server's release, such as 15."""
    return int(str(await connection.scalar(text("SHOW server_version_num")))) // 10_000


async def _schema(connection: AsyncConnection) -> str:
    return str(await connection.scalar(text("SELECT current_schema()")))


def _escaped(value: str) -> str:
    """For a value between quotes in a connection string."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _write(path: Path, statements: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(statements)
