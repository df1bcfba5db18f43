"""Back up the database, and with --with-files the voices and answers that it refers to.

scripts/backup.py                        to backups/ in the storage, or to BACKUP_TO
scripts/backup.py --to s3://other-bucket/voice --with-files
scripts/backup.py --list
scripts/backup.py --verify latest

It has the service's settings, and the service may go on meanwhile. Old backups are deleted after a new one is made,
never the newest that counts. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.backups import database, shelf
from scripts.backups.command import Report, execute
from src import __version__
from src.config.settings import Settings

_SEALED = "Files are sealed: keep STORAGE_KEYS or storage.key elsewhere, as no backup holds them."


async def make(settings: Settings, options: argparse.Namespace) -> Report:
    """A backup that counts, and then the old ones away. Raises BackupError."""
    now = datetime.now(UTC)
    name, url = shelf.new_name(now), database.parsed(settings.effective_database_url)
    async with shelf.opened_backups(settings, options.to, make=True) as place, shelf.opened_files(settings) as storage:
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            source, rows = await database.dump(url, Path(folder) / "dump")
            dump = await shelf.upload(place, name, Path(folder) / "dump")
        manifest = shelf.Manifest(
            name=name,
            created_at=now,
            service_version=__version__,
            source=source,
            dump=dump,
            rows=rows,
            files=await shelf.copy_files(storage, place, name) if options.with_files else {},
        )
        await shelf.put(place, manifest)
        keep_days = settings.backup_keep_days if options.keep_days is None else options.keep_days
        deleted = await shelf.retire(place, now, keep_days, options.keep_last)
    return Report(facts(manifest) | {"place": place.described, "deleted": deleted}, (_SEALED,) * options.with_files)


def facts(manifest: shelf.Manifest) -> dict[str, object]:
    said = manifest.model_dump(mode="json", include={"name", "created_at", "rows"})
    dump = {"size": manifest.dump.size, "sha256": manifest.dump.sha256, "files": len(manifest.files)}
    return said | dump | {"schema_revision": manifest.source.schema_revision}


async def show(settings: Settings, options: argparse.Namespace) -> Report:
    """All backups, newest first. Raises BackupError."""
    async with shelf.opened_backups(settings, options.to, make=False) as place:
        found = await shelf.entries(place)
    listed = [{"name": each.name, "complete": not each.trouble, "trouble": each.trouble} for each in found]
    return Report({"place": place.described, "backups": listed}, tuple(each.described for each in found))


async def verify(settings: Settings, options: argparse.Namespace) -> Report:
    """Read all of one, and compare it with its manifest. Raises BackupError."""
    async with shelf.opened_backups(settings, options.to, make=False) as place:
        manifest = await shelf.read(place, options.verify)
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            await shelf.download(place, manifest, Path(folder) / "dump")
        await shelf.put_back(place, manifest, manifest.files, None)
    return Report(facts(manifest), ("It is whole: the dump and the files are as the manifest says.",))


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="backup.py", description=__doc__, formatter_class=formatter)
    add = parser.add_argument
    add("--to", metavar="PLACE", help="a folder, or s3://bucket/prefix; also for --list and --verify")
    add("--with-files", action="store_true", help="also copy the files in references/, embeddings/ and results/")
    add("--keep-days", type=int, metavar="N", help="delete older backups (BACKUP_KEEP_DAYS)")
    add("--keep-last", type=int, default=3, metavar="N", help="but keep the newest N (3)")
    add("--json", action="store_true", help="one JSON object on standard output, also when it fails")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the backups instead")
    instead.add_argument("--verify", metavar="NAME", help="compare one, or `latest`, with its manifest instead")
    options = parser.parse_args(arguments)
    if (options.keep_days or 0) < 0 or options.keep_last < 1:
        parser.error("--keep-days is 0 or more, --keep-last 1 or more: the newest is always kept")
    work = show if options.list else verify if options.verify else make
    return execute(lambda settings: work(settings, options), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
