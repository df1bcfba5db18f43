"""Restore a backup that scripts/backup.py made, into an empty database.

scripts/restore.py latest
scripts/restore.py 20261121T030000Z-1a2b3c --into postgresql+asyncpg://user@host/database
scripts/restore.py latest --from /mnt/backups --with-files

Stop the service first. It has the service's settings. The backup is checked before anything is touched, comes back in
one transaction, and is brought to the schema of this release. What users deleted and which tokens were revoked since
holds again, as far as a database that is overwritten tells. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL

from scripts.backups import carried, database, shelf
from scripts.backups.command import BackupError, Report, WrongUse, execute, told_of
from scripts.backups.database import connected, parsed
from src.adapters.database import migrations
from src.adapters.database.migrate import migrate
from src.bootstrap.database import pseudonym_key
from src.config.settings import Settings
from src.domain.accounts import Pseudonyms
from src.services.profiles.profiles import clones_of

_NOT_CARRIED = (
    "What users deleted after the backup is back, and tokens revoked since are valid again. Do it anew before callers"
    " are let in: DELETE /api/v1/voice/profile/ID, /api/v1/voice/job/ID, scripts/revoke.py. The old database's table"
    " audit_log, where there still is one, says what. Profiles whose files are all gone may be among the deleted."
)


def target(settings: Settings, into: str | None) -> URL:
    """`into`, with the password of DATABASE_URL for the same user of the same server; or DATABASE_URL."""
    own = parsed(settings.effective_database_url)
    if into is None:
        return own
    if (url := parsed(into)).password:
        raise WrongUse(
            "Everybody on this machine can read a command line: leave the password out of --into. That of"
            " DATABASE_URL is taken for the same server and user, else PGPASSWORD or ~/.pgpass."
        )
    same = (url.host, url.port, url.username) == (own.host, own.port, own.username)
    return url.set(password=own.password) if same and own.password else url


async def restore(settings: Settings, options: argparse.Namespace) -> Report:
    """Raises BackupError: until the database is restored nothing has been changed."""
    url = target(settings, options.into)
    async with shelf.opened_backups(settings, options.place, make=False) as place:
        manifest = await shelf.read(place, options.name)
        kept = await _checked(manifest, url, overwrite=options.overwrite)
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            await shelf.download(place, manifest, Path(folder) / "dump")
            await database.load(Path(folder) / "dump", manifest.source, url)
        facts = await _brought_up(manifest, url, kept, settings) | {"name": manifest.name, "rows": manifest.rows}
    done = await files_only(settings, options)
    notes = () if kept else (_NOT_CARRIED,)
    return Report(facts | done.facts, (*notes, *done.notes))


async def _checked(manifest: shelf.Manifest, url: URL, *, overwrite: bool) -> carried.Carried | None:
    """What the database knows that is about to be overwritten. None: it is empty, or cannot be read, which may be why
    one restores. Raises BackupError where the backup must not or cannot be restored here.
    """
    revision = manifest.source.schema_revision
    if revision not in {each.revision for each in ScriptDirectory(migrations.__path__[0]).walk_revisions()}:
        made_by = f"restore it with the release that made it ({manifest.service_version}), or a newer one"
        raise BackupError(f"{manifest.name} has the schema {revision}, which this release does not know: {made_by}.")
    if not await database.check_target(url, manifest.source, overwrite=overwrite):
        return None
    try:
        async with connected(url) as connection:
            return await carried.read(connection, manifest.created_at)
    except BackupError:
        return None


async def _brought_up(
    manifest: shelf.Manifest, url: URL, kept: carried.Carried | None, settings: Settings
) -> dict[str, object]:
    """To this release's schema, without what must not come back. Raises BackupError."""
    pseudonyms = Pseudonyms(pseudonym_key(settings))
    async with connected(url) as connection:
        there = await database.count_rows(connection)
    if wrong := sorted(table for table, _ in there.items() ^ manifest.rows.items()):
        raise BackupError(f"{', '.join(wrong)}: not as many rows as the manifest says. Do not use the database.")
    with told_of(database.described(url)):
        await asyncio.to_thread(migrate, url)
    async with connected(url) as connection, shelf.opened_files(settings) as storage:
        waiting = await carried.let_running_jobs_wait(connection)
        before = await database.files_of(connection)
        again = await carried.apply(connection, kept, pseudonyms) if kept else carried.Replayed()
        left = await database.files_of(connection)
        await connection.commit()
        with told_of(storage.described):  # the storage, too, may have been brought back from before the deletion
            for key in _all(before) - _all(left):
                await storage.store.delete(key)
            for profile in again.profiles:
                await storage.store.delete_under(clones_of(profile))
    facts: dict[str, object] = {"jobs_waiting_again": waiting, "carried_over": kept is not None}
    facts |= {"profiles_deleted_again": again.profiles, "jobs_deleted_again": again.jobs}
    return facts | {"revocations_carried_over": again.revocations}


async def files_only(settings: Settings, options: argparse.Namespace) -> Report:
    """What rows refer to and is missing in the storage; and it is put back where that is wanted. Raises BackupError."""
    url = target(settings, options.into)
    async with (
        shelf.opened_backups(settings, options.place, make=False) as place,
        shelf.opened_files(settings) as storage,
        connected(url) as connection,
    ):
        manifest = await shelf.read(place, options.name)
        revision = await database.revision_of(connection, await database.count_rows(connection))
        files = await database.files_of(connection)
        missing = _all(files) - await shelf.files_in(storage, {key.partition("/")[0] for key in _all(files)})
        wanted = missing if options.with_files or options.files_only else ()
        put_back = await shelf.put_back(place, manifest, sorted(wanted), storage)
    lost = [owner.partition(":") for owner, keys in files.items() if missing.issuperset(keys)]
    gone = [name for kind, _, name in lost if kind == "profile"]
    facts: dict[str, object] = {"name": manifest.name, "database": database.described(url), "schema_revision": revision}
    facts |= {"files_missing": sorted(missing), "files_put_back": len(put_back), "profiles_without_files": gone}
    hint = "Of the missing files the backup may have copies: --files-only puts them back. --json names them."
    return Report(facts, (hint,) if missing and not wanted else ())


def _all(files: dict[str, list[str]]) -> set[str]:
    return {key for keys in files.values() for key in keys}


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="restore.py", description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("name", metavar="NAME", help="as scripts/backup.py --list shows it, or `latest`")
    add("--from", dest="place", metavar="PLACE", help="a folder, or s3://bucket/prefix, as in scripts/backup.py --to")
    add("--into", metavar="URL", help="another database than DATABASE_URL's; without its password")
    add("--overwrite", action="store_true", help="delete what is in the database")
    add("--with-files", action="store_true", help="also put files back that are missing in the storage")
    add("--files-only", action="store_true", help="put files back, and leave the database as it is")
    add("--json", action="store_true", help="one JSON object on standard output, also when it fails")
    options = parser.parse_args(arguments)
    work = files_only if options.files_only else restore
    return execute(lambda settings: work(settings, options), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
