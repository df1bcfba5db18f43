"""Restore a backup that scripts/backup.py made, into an empty database.

scripts/restore.py latest
scripts/restore.py 20261121T030000Z-1a2b3c --into postgresql+asyncpg://user@host/database
scripts/restore.py latest --from /mnt/backups --with-files

Stop the service first. The settings are those of the service; the database is DATABASE_URL's. The backup is checked
before anything is touched, comes back in one transaction, and is brought to the schema of this release. What users
deleted and which tokens were revoked since holds again, as far as a database that is overwritten tells. At the end it
says which files are missing in the storage, and what is left to do.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
from collections.abc import Sequence

from scripts.backups import restoring
from scripts.backups.command import Say, add_common, execute
from scripts.backups.work import Report
from src.config.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _options(arguments)
    wanted = restoring.Wanted(
        options.name, options.source, options.into, options.overwrite, options.with_files, options.erase_files
    )

    async def work(settings: Settings, say: Say) -> Report:
        if options.files_only:
            return await restoring.files_only(settings, wanted, say)
        return await restoring.restore(settings, wanted, say)

    return execute(work, as_json=options.json, timeout=options.timeout)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="restore.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="as scripts/backup.py --list shows it, or `latest`")
    add("--from", dest="source", metavar="PLACE", help="a folder, or s3://bucket/prefix, as in scripts/backup.py --to")
    add("--into", metavar="URL", help="another database than DATABASE_URL's; without its password")
    add("--overwrite", action="store_true", help="delete what is in the database")
    add("--with-files", action="store_true", help="also put files back that are missing in the storage")
    add("--erase-files", action="store_true", help="erase files of after the backup, which no row refers to")
    add("--files-only", action="store_true", help="put back or erase files, and leave the database as it is")
    add_common(parser)
    return parser.parse_args(arguments)
