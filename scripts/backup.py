"""Back up the database, and with --with-files the voices and answers that it refers to.

It has the service's settings, and the service may go on meanwhile. Backups lie in BACKUP_TO, else in backups/ of the
storage. Those older than BACKUP_KEEP_DAYS are deleted after a new one is made, never the newest 3 that count. It prints
one JSON object. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.backups import archive, database
from scripts.parts.command import Facts, execute
from src import __version__
from src.config.settings import Settings


async def make(settings: Settings, *, with_files: bool) -> Facts:
    """A backup that counts, and then the old ones away. Raises BackupError."""
    now = datetime.now(UTC)
    name = archive.new_name(now)
    async with archive.opened(settings, backups=True) as place, archive.opened(settings) as storage:
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            path = Path(folder) / "dump"
            async with database.opened(settings) as (opened, url):
                source = await database.dump(opened, url, path)
            await place.store.upload(f"dumps/{name}.dump", path)
            dump = archive.described(path)
        files = await archive.copy_files(storage, place, name) if with_files else {}
        manifest = archive.Manifest(
            name=name, created_at=now, service_version=__version__, source=source, dump=dump, files=files
        )
        await place.store.put(f"manifests/{name}.json", manifest.model_dump_json(indent=1).encode())
        old = archive.too_old(await archive.backups(place), now, settings.backup_keep_days)
        for each in old:
            await archive.delete(place, each)
    return facts(manifest) | {"place": place.described, "deleted": old}


def facts(manifest: archive.Manifest) -> Facts:
    said = manifest.model_dump(mode="json", include={"name", "created_at", "source", "dump"})
    return said | {"files": len(manifest.files)}


async def show(settings: Settings) -> Facts:
    """All backups, newest first. Raises BackupError."""
    async with archive.opened(settings, backups=True) as place:
        found = await archive.backups(place)
    listed = [{"name": name, "complete": bool(each)} | (facts(each) if each else {}) for name, each in found.items()]
    return {"place": place.described, "backups": listed}


async def verify(settings: Settings, name: str) -> Facts:
    """Read all of one, and compare it with its manifest. Raises BackupError."""
    async with archive.opened(settings, backups=True) as place:
        manifest = await archive.read(place, name)
        with TemporaryDirectory(prefix="voice-backup-") as folder:
            await archive.download(place, manifest, Path(folder) / "dump")
        await archive.put_back(place, manifest, manifest.files, None)
    return facts(manifest)


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="backup.py", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--with-files", action="store_true", help="also copy references/, embeddings/ and results/")
    which.add_argument("--list", action="store_true", help="list the backups instead")
    which.add_argument("--verify", metavar="NAME", help="compare one, or `latest`, with its manifest instead")
    options = parser.parse_args(arguments)
    if options.verify:
        return execute(lambda settings: verify(settings, options.verify))
    return execute(show if options.list else lambda settings: make(settings, with_files=options.with_files))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
