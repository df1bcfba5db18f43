"""The database that a backup is restored into: whether it fits, and how it becomes what the service wants."""

import asyncio
import os
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import case
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.backups import carried, postgres, sqlite
from scripts.backups.contents import connected, count_rows
from scripts.backups.errors import BackupError, WrongUse
from scripts.backups.manifest import Manifest
from scripts.backups.work import described, kind_of, parsed
from src.adapters.database import migrations
from src.adapters.database.tables import translation_jobs
from src.config.settings import Settings
from src.domain.jobs import JobStatus

_FENCES_SKIPPED = 1000  # more than a job is leased in its life


def chosen(settings: Settings, into: str | None) -> URL:
    """`into`, or the settings' database. `into` may leave out the password where DATABASE_URL has it, for the same
    user of the same server. Raises WrongUse.
    """
    own = parsed(settings.effective_database_url)
    if into is None:
        return own
    url = parsed(into)
    if url.password:
        raise WrongUse(
            "A password on a command line can be read by everybody on this machine. Leave it out of --into: that of"
            " DATABASE_URL is taken for the same server and user, else PGPASSWORD or ~/.pgpass."
        )
    if (url.host, url.port, url.username) == (own.host, own.port, own.username) and own.password:
        return url.set(password=own.password)
    return url


def newest_revision() -> str:
    """Of this release."""
    return _scripts().get_current_head() or ""


async def check(manifest: Manifest, url: URL, connect_seconds: float, *, overwrite: bool) -> None:
    """Raises BackupError where the backup must not or cannot be restored here."""
    try:
        _scripts().get_revision(manifest.source.schema_revision)
    except CommandError:
        raise BackupError(
            f"{manifest.name} has the schema {manifest.source.schema_revision}, which this release does not know:"
            f" restore it with the release that made it ({manifest.service_version}), or a newer one."
        ) from None
    kind = manifest.source.kind
    if kind_of(url) != kind:
        raise BackupError(f"{manifest.name} is of {kind}, and {described(url)} is {kind_of(url)}: give --into URL.")
    if kind == "postgresql":
        await postgres.check_target(url, manifest.source, connect_seconds, overwrite=overwrite)
    else:
        await sqlite.check_target(url, overwrite=overwrite)


async def to_carry(manifest: Manifest, url: URL, connect_seconds: float) -> carried.Carried | None:
    """What the database knows that is about to be overwritten. None: it is empty, or cannot be read, which may be why
    one restores.
    """
    if kind_of(url) == "sqlite" and not await asyncio.to_thread(Path(url.database or "").is_file):
        return None
    try:
        async with connected(url, connect_seconds) as connection:
            return await carried.read(connection, manifest.created_at) if await count_rows(connection) else None
    except (DBAPIError, OSError):
        return None


async def fill(manifest: Manifest, url: URL, dump: Path, folder: Path, connect_seconds: float) -> None:
    """All of the dump, or nothing of it. Raises BackupError, DBAPIError, OSError."""
    if manifest.source.kind == "postgresql":
        await postgres.restore(dump, manifest.source, url, folder, connect_seconds)
    else:
        await sqlite.restore(dump, url)
    async with connected(url, connect_seconds) as connection:
        there = await count_rows(connection)
    if there != manifest.rows:
        wrong = sorted(table for table in {*there, *manifest.rows} if there.get(table) != manifest.rows.get(table))
        counts = ", ".join(f"{table}: {there.get(table, 0)} of {manifest.rows.get(table, 0)}" for table in wrong)
        raise BackupError(f"The restored database does not have the rows of the manifest: {counts}. Do not use it.")


async def put_jobs_back_in_line(connection: AsyncConnection) -> int:
    """Nobody works at jobs that ran when the backup was made: they wait again, and that attempt does not count. A
    worker that still runs has a fence of before, or of after the backup: none of them is given again. Returns how many.
    """
    jobs = translation_jobs.c
    ran, waits = jobs.status == JobStatus.PROCESSING.value, jobs.status == JobStatus.PENDING.value
    again = {"status": JobStatus.PENDING.value, "stage": None, "lease_until": None}
    attempts = case((jobs.attempts > 0, jobs.attempts - 1), else_=0)
    count = (await connection.execute(translation_jobs.update().where(ran).values(**again, attempts=attempts))).rowcount
    await connection.execute(translation_jobs.update().where(waits).values(fence=jobs.fence + _FENCES_SKIPPED))
    return count


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(os.fspath(Path(migrations.__file__ or "").parent))
