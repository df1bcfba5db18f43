"""Restore a backup that scripts/backup.py made, into the empty database of DATABASE_URL.

Stop the service first. The backup is checked before anything is touched, comes back in one transaction, and is brought
to the schema of this release. Files that rows refer to and the storage lacks are put back, where the backup has them.
What users deleted and which tokens were revoked since holds again, as far as a database that is overwritten tells. It
prints one JSON object. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alembic.script import ScriptDirectory

from scripts.backups import archive, database, deletions
from scripts.parts.command import BackupError, Facts, execute, told_of
from src.adapters.database import migrations
from src.config.settings import Settings

_NOT_CARRIED = (
    "What users deleted after the backup is back, and tokens revoked since are valid again. Do it anew before callers"
    " are let in: DELETE /api/v1/voice/profile/ID, /api/v1/voice/job/ID, scripts/revoke.py. The old database's table"
    " audit_log, where there still is one, says what. Profiles whose files are all missing may be among the deleted."
)


async def restore(settings: Settings, name: str, *, overwrite: bool) -> Facts:
    """Raises BackupError: until the database is restored nothing has been changed."""
    carried: deletions.Carried | None = None
    async with archive.opened(settings, backups=True) as place:
        manifest = await archive.read(place, name)
        revision = manifest.source.schema_revision
        if revision not in {each.revision for each in ScriptDirectory(migrations.__path__[0]).walk_revisions()}:
            made_by = f"restore it with the release that made it ({manifest.service_version}), or a newer one"
            raise BackupError(f"{name} has the schema {revision}, which this release does not know: {made_by}.")
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            async with database.opened(settings) as (old, url):
                await database.check_target(old, url, manifest.source, overwrite=overwrite)
                await archive.download(place, manifest, Path(folder) / "dump")
                tables = await database.tables_in(old, url)
                with suppress(BackupError), told_of("it is broken, which may be why one restores"):
                    carried = await deletions.read(old, tables, manifest.created_at) if tables else None
                await database.load(Path(folder) / "dump", manifest.source, url, tables)
    async with database.opened(settings) as (restored, _):
        await restored.start()
        await restored.write(deletions.let_jobs_wait)
        again = await deletions.carry_over(restored, carried) if carried else []
    facts: Facts = {"carried_over": carried is not None, "deleted_again": again}
    return facts | await put_files_back(settings, manifest.name) | ({} if carried else {"note": _NOT_CARRIED})


async def put_files_back(settings: Settings, name: str) -> Facts:
    """Those that rows refer to and that the storage lacks. Raises BackupError."""
    async with database.opened(settings) as (opened, _):
        wanted = await database.files_of(opened)
    async with archive.opened(settings, backups=True) as place, archive.opened(settings) as storage:
        manifest = await archive.read(place, name)
        for folder in {key.partition("/")[0] for key in wanted}:
            wanted -= (await storage.store.sizes_under(folder)).keys()
        back = await archive.put_back(place, manifest, wanted, storage)
    return {"name": manifest.name, "files_put_back": len(back), "files_missing": sorted(wanted.difference(back))}


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="restore.py", description=__doc__)
    parser.add_argument("name", metavar="NAME", help="as scripts/backup.py --list shows it, or `latest`")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the database")
    parser.add_argument("--files-only", action="store_true", help="put files back, and leave the database as it is")
    options = parser.parse_args(arguments)
    if options.files_only:
        return execute(lambda settings: put_files_back(settings, options.name))
    return execute(lambda settings: restore(settings, options.name, overwrite=options.overwrite))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
