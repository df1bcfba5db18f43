"""Bringing a backup back: everything is checked before anything is touched."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import case, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from scripts.backups import files, making, postgres, shelf, sqlite
from scripts.backups.contents import connected, count_rows, deletions_since, profiles
from scripts.backups.errors import BackupError, WrongUse, told_of_database
from scripts.backups.manifest import Manifest
from scripts.backups.places import Place, opened_backups, opened_files
from scripts.backups.work import Report, described, kind_of, parsed, private_folder
from src.adapters.database import migrations
from src.adapters.database.migrate import migrate
from src.adapters.database.tables import translation_jobs
from src.config.settings import Settings
from src.domain.jobs import JobStatus

Say = Callable[[str], None]

_FENCES_SKIPPED = 1000  # more than a job is leased in its life


@dataclass(frozen=True, slots=True)
class Wanted:
    """`name`: of a backup, or `latest`. `source` and `into` None: as the settings say."""

    name: str
    source: str | None = None
    into: str | None = None
    overwrite: bool = False
    with_files: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """`deletions`: of the audit log that was overwritten. `missing`: files that rows refer to and that were not in the
    storage; `put_back`: how many of them are now. `silent_profiles`: ids of those without any file.
    """

    manifest: Manifest
    target: str
    revision: str
    jobs_waiting_again: int
    deletions: list[dict[str, str]]
    missing: list[str]
    put_back: int
    silent_profiles: list[str]


async def restore(settings: Settings, wanted: Wanted, say: Say) -> Report:
    """Raises WrongUse, Damaged, BackupError: until the database is restored nothing has been changed."""
    url = _target(settings, wanted.into)
    async with opened_backups(settings, wanted.source, make=False) as place, private_folder() as folder:
        # 1. Is this the right backup, and the right database for it?
        manifest = await shelf.choose(place, wanted.name)
        _check_release(manifest)
        await _check_target(settings, manifest, url, overwrite=wanted.overwrite)

        # 2. Is the dump whole?
        say(f"Reading {manifest.name} ...")
        path = folder / "dump"
        await making.fetch_verified(place, manifest, path)

        async with opened_files(settings) as storage:
            # 3. The database, in one transaction; then to this release's schema.
            deletions = await _deletions(settings, manifest, url)
            say(f"Restoring into {described(url)} ...")
            with told_of_database(described(url)):
                await _restore(settings, manifest, url, path, folder)
                await _check_rows(settings, manifest, url)
                await asyncio.to_thread(_migrate, url)
                waiting = await _put_jobs_back_in_line(settings, url)
                known_profiles = await _profiles(settings, url)

            # 4. The files that its rows refer to.
            found = await files.look_up(storage, manifest.files)
            missing = [key for key, file in found.items() if file.size is None]
            if wanted.with_files:
                say(f"Putting back {len(missing)} files ...")
            put_back = await files.put_back(place, storage, manifest, missing) if wanted.with_files else 0
    gone = set(missing)
    silent = [profile for profile, keys in known_profiles.items() if gone.issuperset(keys)]
    revision = _scripts().get_current_head() or ""
    return _told(
        Restored(manifest, described(url), revision, waiting, deletions, missing, put_back, silent), place, storage
    )


async def put_files_back(settings: Settings, wanted: Wanted, say: Say) -> Report:
    """Only the files that are missing in the storage, from a backup made with its files. Raises BackupError."""
    async with opened_backups(settings, wanted.source, make=False) as place, opened_files(settings) as storage:
        manifest = await shelf.choose(place, wanted.name)
        if not manifest.files_included:
            raise BackupError(f"{manifest.name} was made without --with-files: it has no files.")
        found = await files.look_up(storage, manifest.files)
        missing = [key for key, file in found.items() if file.size is None]
        say(f"Putting back {len(missing)} files ...")
        count = await files.put_back(place, storage, manifest, missing)
    left = [key for key in missing if key not in manifest.included]
    lines = [f"{count} files of {manifest.name} are back in {storage.described}."]
    if left:
        lines.append(f"Still missing, as the backup lacks them, too: {files.in_words(left)}.")
    return Report(lines, {"name": manifest.name, "files_put_back": count, "files_missing": left})


def _target(settings: Settings, into: str | None) -> URL:
    """`into` may leave out the password where DATABASE_URL has it, for the same user of the same server."""
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


def _check_release(manifest: Manifest) -> None:
    try:
        _scripts().get_revision(manifest.source.schema_revision)
    except CommandError:
        raise BackupError(
            f"{manifest.name} has the schema {manifest.source.schema_revision}, which this release does not know:"
            f" restore it with the release that made it ({manifest.service_version}), or a newer one."
        ) from None


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(os.fspath(Path(migrations.__file__ or "").parent))


async def _check_target(settings: Settings, manifest: Manifest, url: URL, *, overwrite: bool) -> None:
    kind = manifest.source.kind
    if kind_of(url) != kind:
        raise BackupError(f"{manifest.name} is of {kind}, and {described(url)} is {kind_of(url)}: give --into URL.")
    if kind == "postgresql":
        seconds = settings.database_connect_timeout_seconds
        await postgres.check_target(url, manifest.source, seconds, overwrite=overwrite)
    else:
        await sqlite.check_target(url, overwrite=overwrite)


async def _restore(settings: Settings, manifest: Manifest, url: URL, path: Path, folder: Path) -> None:
    if manifest.source.kind == "postgresql":
        await postgres.restore(path, manifest.source, url, folder, settings.database_connect_timeout_seconds)
    else:
        await sqlite.restore(path, url)


async def _deletions(settings: Settings, manifest: Manifest, url: URL) -> list[dict[str, str]]:
    """What was deleted after the backup, as far as the database knows that is about to be overwritten."""
    if kind_of(url) == "sqlite" and not await asyncio.to_thread(Path(url.database or "").is_file):
        return []
    try:
        async with connected(url, settings.database_connect_timeout_seconds) as connection:
            return await deletions_since(connection, manifest.created_at)
    except (DBAPIError, OSError):  # a database that is damaged, or is not ours, is why one restores
        return []


async def _check_rows(settings: Settings, manifest: Manifest, url: URL) -> None:
    async with connected(url, settings.database_connect_timeout_seconds) as connection:
        there = await count_rows(connection)
    if there != manifest.rows:
        wrong = sorted(table for table in {*there, *manifest.rows} if there.get(table) != manifest.rows.get(table))
        counts = ", ".join(f"{table}: {there.get(table, 0)} of {manifest.rows.get(table, 0)}" for table in wrong)
        raise BackupError(f"The restored database does not have the rows of the manifest: {counts}. Do not use it.")


def _migrate(url: URL) -> None:
    """As the service does at its start."""
    migrate(url)


async def _put_jobs_back_in_line(settings: Settings, url: URL) -> int:
    """Nobody works at jobs that ran when the backup was made: they wait again, and that attempt does not count. A
    worker that still runs has a fence of before, or of after the backup: none of them is given again. Returns how many.
    """
    jobs = translation_jobs.c
    ran, waits = jobs.status == JobStatus.PROCESSING.value, jobs.status == JobStatus.PENDING.value
    again = {"status": JobStatus.PENDING.value, "stage": None, "lease_until": None}
    attempts = case((jobs.attempts > 0, jobs.attempts - 1), else_=0)
    requeue = translation_jobs.update().where(ran).values(**again, attempts=attempts)
    fence = translation_jobs.update().where(waits).values(fence=jobs.fence + _FENCES_SKIPPED)
    async with connected(url, settings.database_connect_timeout_seconds) as connection:
        if kind_of(url) == "sqlite":
            await connection.execute(text("PRAGMA busy_timeout = 30000"))
        count = (await connection.execute(requeue)).rowcount
        await connection.execute(fence)
        await connection.commit()
    return count


async def _profiles(settings: Settings, url: URL) -> dict[str, tuple[str, ...]]:
    async with connected(url, settings.database_connect_timeout_seconds) as connection:
        return await profiles(connection)


def _told(done: Restored, place: Place, storage: Place) -> Report:
    manifest = done.manifest
    lines = [
        f"Restored {manifest.name} into {done.target}: {sum(manifest.rows.values())} rows in {len(manifest.rows)}"
        f" tables, schema {manifest.source.schema_revision}, now {done.revision}."
    ]
    if done.jobs_waiting_again:
        lines.append(f"{done.jobs_waiting_again} jobs were running: they wait again, and run when the service starts.")
    lines += _about_files(done, storage)
    lines += _about_deletions(done)
    return Report(
        lines,
        {
            "name": manifest.name,
            "backups": place.described,
            "database": done.target,
            "backup_made_at": manifest.created_at.isoformat(),
            "rows": manifest.rows,
            "schema_revision": done.revision,
            "jobs_waiting_again": done.jobs_waiting_again,
            "files_missing": done.missing,
            "files_put_back": done.put_back,
            "profiles_without_files": done.silent_profiles,
            "deletions_to_repeat": done.deletions,
        },
    )


def _about_files(done: Restored, storage: Place) -> list[str]:
    if not done.manifest.files:
        return []
    if not done.missing:
        return [f"All {len(done.manifest.files)} files that it refers to are in {storage.described}."]
    lines = [f"Missing in {storage.described}: {files.in_words(done.missing)} (--json names them)."]
    copies = [key for key in done.missing if key in done.manifest.included]
    if done.put_back:
        lines.append(f"Put back from the backup: {done.put_back}.")
    elif copies:
        lines.append(f"The backup has {len(copies)} of them: scripts/restore.py {done.manifest.name} --files-only")
    return lines


def _about_deletions(done: Restored) -> list[str]:
    lines = [
        f"What users deleted after {done.manifest.created_at:%Y-%m-%d %H:%M} UTC is back, and tokens revoked since are"
        " valid again. Do it anew before callers are let in: DELETE /api/v1/voice/profile/ID, /api/v1/voice/job/ID."
    ]
    if done.deletions:
        lines.append("The audit log of the database that was there says, for these users:")
        lines += [
            f"  {event['at']}  {event['user_id']}  {event['action']}  {event['subject']}" for event in done.deletions
        ]
    if done.silent_profiles:
        lines.append("All files of these profiles were gone, so that they may be among the deleted:")
        lines += [f"  profile:{profile}" for profile in done.silent_profiles]
    return lines
