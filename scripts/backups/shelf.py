"""The backups of one place: what is there, which of it counts, and what has to go.

manifests/NAME.json     written last and deleted first: without it the backup does not count
dumps/NAME.dump         the database
files/NAME/KEY          copies of the storage's files, where they were asked for
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.backups.errors import BackupError, Damaged, WrongUse, told_of
from scripts.backups.manifest import Manifest, read_manifest, time_of
from scripts.backups.places import Place
from src.domain.errors import DamagedFile, NotFound

LATEST = "latest"
UNFINISHED = "unfinished: it has no manifest"

_UNFINISHED_KEPT = timedelta(days=1)  # it may be under way


@dataclass(frozen=True, slots=True)
class Entry:
    """`manifest` None: it does not count, for the reason `trouble`. `size`: bytes of its dump."""

    name: str
    began_at: datetime
    size: int
    manifest: Manifest | None = None
    trouble: str | None = None

    @property
    def unfinished(self) -> bool:
        return self.trouble == UNFINISHED


def manifest_key(name: str) -> str:
    return f"manifests/{name}.json"


def dump_key(name: str) -> str:
    return f"dumps/{name}.dump"


def file_key(name: str, key: str) -> str:
    return f"files/{name}/{key}"


async def entries(place: Place) -> list[Entry]:
    """Everything that has a backup's name, newest first. Raises BackupError when the place does not answer."""
    with told_of(place.described):
        dumps = _by_name(await place.store.sizes_under("dumps"))
        manifests = _by_name(await place.store.sizes_under("manifests"))
        found = [
            await _entry(place, name, began_at, dumps.get(name), has_manifest=name in manifests)
            for name in {*dumps, *manifests}
            if (began_at := time_of(name)) is not None
        ]
    return sorted(found, key=_age, reverse=True)


async def choose(place: Place, name: str) -> Manifest:
    """The manifest of this backup, or of the newest that counts. Raises WrongUse, Damaged, BackupError."""
    if name == LATEST:
        good = [entry.manifest for entry in await entries(place) if entry.manifest is not None]
        if not good:
            raise BackupError(f"There is no complete backup in {place.described}.")
        return good[0]
    if time_of(name) is None:
        raise WrongUse(f"{name} is no backup's name; they are as 20261121T030000Z-1a2b3c, or {LATEST}.")
    with told_of(place.described):
        try:
            return read_manifest(await place.store.get(manifest_key(name)), name)
        except NotFound:
            unfinished = dump_key(name) in await place.store.sizes_under("dumps")
            reason = "was never finished: it has no manifest" if unfinished else "is not there"
            raise BackupError(f"The backup {name} {reason} ({place.described}).") from None
        except DamagedFile:
            raise Damaged(f"The manifest of {name} is damaged.") from None


def to_delete(found: Sequence[Entry], at: datetime, keep_days: int, keep_last: int) -> list[Entry]:
    """Those older than `keep_days` but for the newest `keep_last` that count; and what was left unfinished a day ago.
    Nothing while no backup counts.
    """
    good = [entry for entry in sorted(found, key=_age, reverse=True) if entry.manifest]
    kept = {entry.name for entry in good[: max(1, keep_last)]}
    if not kept:
        return []
    oldest, unfinished = at - timedelta(days=keep_days), at - _UNFINISHED_KEPT
    return [
        entry
        for entry in found
        if entry.name not in kept and entry.began_at < (unfinished if entry.unfinished else oldest)
    ]


async def delete(place: Place, name: str) -> None:
    """Cut short, it leaves something unfinished, which a later run deletes. Raises BackupError."""
    with told_of(place.described):
        await place.store.delete(manifest_key(name))
        await place.store.delete_under(f"files/{name}")
        await place.store.delete(dump_key(name))


async def _entry(place: Place, name: str, began_at: datetime, size: int | None, *, has_manifest: bool) -> Entry:
    if not has_manifest:
        return Entry(name, began_at, size or 0, trouble=UNFINISHED)
    try:
        manifest = read_manifest(await place.store.get(manifest_key(name)), name)
    except (Damaged, DamagedFile, NotFound):
        return Entry(name, began_at, size or 0, trouble="damaged: its manifest cannot be read")
    if size != manifest.dump.size:
        return Entry(name, began_at, size or 0, trouble="damaged: its dump is not there, or has another size")
    return Entry(name, manifest.created_at, size, manifest)


def _age(entry: Entry) -> tuple[datetime, str]:
    """The names of two that were made in one second say nothing about which was first; their manifests do."""
    return entry.began_at, entry.name


def _by_name(sizes: dict[str, int]) -> dict[str, int]:
    return {key.partition("/")[2].partition(".")[0]: size for key, size in sizes.items()}
