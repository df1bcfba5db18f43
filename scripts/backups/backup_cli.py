"""Back up the database, and with --with-files the voices and answers that it refers to.

scripts/backup.py                        to backups/ in the storage, or to BACKUP_TO
scripts/backup.py --to /mnt/backups --with-files
scripts/backup.py --to s3://other-bucket/voice
scripts/backup.py --list
scripts/backup.py --verify latest

The settings are those of the service. The service may go on meanwhile. Old backups are deleted after a new one is made,
never the newest that counts. Backups hold what people said, and with --with-files their voices.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
from collections.abc import Sequence

from scripts.backups import making
from scripts.backups.command import Say, add_common, execute
from scripts.backups.work import Report
from src.config.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _options(arguments)

    async def work(settings: Settings, say: Say) -> Report:
        if options.list:
            return await making.show(settings, options.to)
        if options.verify is not None:
            return await making.verify(settings, options.to, options.verify, say)
        keep_days = settings.backup_keep_days if options.keep_days is None else options.keep_days
        return await making.make(
            settings, making.Wanted(options.to, options.with_files, keep_days, options.keep_last), say
        )

    return execute(work, as_json=options.json, timeout=options.timeout)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="backup.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--to", metavar="PLACE", help="a folder, or s3://bucket/prefix; also for --list and --verify")
    add("--with-files", action="store_true", help="also copy the files in references/, embeddings/ and results/")
    add("--keep-days", type=int, metavar="N", help="delete older backups (BACKUP_KEEP_DAYS)")
    add("--keep-last", type=int, default=3, metavar="N", help="but keep the newest N (3)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the backups instead")
    instead.add_argument(
        "--verify", metavar="NAME", help="read one, or `latest`, and compare it with its manifest instead"
    )
    add_common(parser)
    options = parser.parse_args(arguments)
    if options.keep_days is not None and options.keep_days < 0:
        parser.error("--keep-days is 0 or more")
    if options.keep_last < 1:
        parser.error("--keep-last is 1 or more: the newest is always kept")
    return options
