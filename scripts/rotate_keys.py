"""Seal every stored file under the first of STORAGE_KEYS.

scripts/rotate_keys.py --new-key         print a new key, and do nothing else
scripts/rotate_keys.py --dry-run         count what is to be done
scripts/rotate_keys.py                   do it

To change the key: start every process of the service with STORAGE_KEYS=OLD,NEW, so that all can open what the new key
seals; then with NEW,OLD; run this; start them with NEW. The service may go on meanwhile. Whoever ends this midway runs
it again: each file is replaced as a whole, and those that are done are passed over. A file that is deleted meanwhile
stays deleted. Without STORAGE_KEYS the keys are the lines of storage.key in DATA_DIR. Backups keep what they hold under
the key of their day: keep that key as long as them.

Exit codes: 0 everything is under the first key; 1 failed, run it again; 2 wrong usage or settings; 3 some files do not
open and were left as they are; 130 Ctrl-C; 143 SIGTERM.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.backups.archive import Place, opened  # noqa: E402
from scripts.parts.command import BackupError, Facts, execute, told_of  # noqa: E402
from src.adapters.storage.sealed import Keyring  # noqa: E402
from src.bootstrap.storage import (  # noqa: E402
    FETCHED_FROM_BUCKETS,
    FOLDERS,
    forget_plain,
    load_keyring,
    new_key,
)
from src.config.settings import Settings  # noqa: E402
from src.domain.errors import DamagedFile, EngineUnavailable, NotFound  # noqa: E402
from src.utils.concurrency import for_each  # noqa: E402

LEFT = 3
"""The exit code when files do not open."""

_AT_ONCE = 4  # files in memory, each of up to 50 MB
_ATTEMPTS = 3  # at a file that is written again while it is sealed
_SAY_SECONDS = 1.0


class Rotation:
    """One run over the files of `place`. `seen` counts what became of them."""

    def __init__(self, place: Place, keyring: Keyring, *, dry_run: bool) -> None:
        self._place, self._keyring, self._dry_run = place, keyring, dry_run
        self.seen: Counter[str] = Counter()
        self.unopened: list[str] = []
        self._said_at = 0.0

    async def run(self, folders: Sequence[str]) -> None:
        """Raises BackupError when the storage does not answer."""
        keys: list[str] = []
        for folder in folders:
            with told_of(self._place.described):
                keys += await self._place.store.sizes_under(folder)
        self._all = len(keys)
        await for_each(sorted(keys), self._one, at_once=_AT_ONCE)

    async def _one(self, key: str) -> None:
        outcome = await self._reseal(key)
        self.seen[outcome] += 1
        if outcome == "unopened":
            self.unopened.append(key)
        if time.monotonic() - self._said_at >= _SAY_SECONDS:
            self._said_at = time.monotonic()
            _say(f"{self.seen.total()} of {self._all} files")

    async def _reseal(self, key: str) -> str:
        """What became of it. Raises BackupError."""
        for _ in range(_ATTEMPTS):
            try:
                with told_of(self._place.described):
                    if outcome := await self._once(key):
                        return outcome
            except BackupError as error:
                if isinstance(error.__cause__, NotFound):
                    return "gone"
                if isinstance(error.__cause__, DamagedFile):
                    return "unopened"
                raise
        raise BackupError(f"{key} is written again and again. Run this once more.")

    async def _once(self, key: str) -> str | None:
        """None: it was deleted or written again meanwhile. Raises NotFound, DamagedFile, Unavailable."""
        data, version = await self._place.store.read_version(key)
        opened = await asyncio.to_thread(self._keyring.open, key, data)
        if self._keyring.is_newest(data):
            return "already"
        if self._dry_run:
            return "sealed"
        sealed = await asyncio.to_thread(self._keyring.seal, key, opened)
        return "sealed" if await self._place.store.replace(key, sealed, version) else None


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


async def rotate(settings: Settings, *, dry_run: bool) -> Facts:
    """Raises BackupError."""
    try:
        keyring = await asyncio.to_thread(load_keyring, settings)
    except EngineUnavailable as error:
        raise BackupError(error.detail, 2) from None
    if not keyring.seals:
        raise BackupError("STORAGE_KEYS is not set: with STORAGE=s3 nothing is sealed without it.", 2)
    past_us = FETCHED_FROM_BUCKETS if settings.storage == "s3" else frozenset()
    async with opened(settings) as place:
        rotation = Rotation(place, keyring, dry_run=dry_run)
        await rotation.run([folder for folder in FOLDERS if folder not in past_us])
    seen, unopened = rotation.seen, sorted(rotation.unopened)
    facts: Facts = {"dry_run": dry_run, "place": place.described, "unopened_files": unopened}
    facts |= {outcome: seen[outcome] for outcome in ("sealed", "already", "gone", "unopened")}
    if unopened:
        return facts | {"exit_code": LEFT}
    if not dry_run and await asyncio.to_thread(forget_plain, settings):
        facts["note"] = "storage.key: `plain` is taken out. Start the service again, and it refuses unsealed files."
    elif not dry_run and keyring.plain:
        facts["note"] = "Take `plain` out of STORAGE_KEYS now, so that the service refuses unsealed files."
    return facts


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="rotate_keys.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--new-key", action="store_true", help="print a new key, and do nothing else")
    parser.add_argument("--dry-run", action="store_true", help="count only")
    options = parser.parse_args(arguments)
    if options.new_key:
        print(new_key())
        return 0
    return execute(lambda settings: rotate(settings, dry_run=options.dry_run))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
