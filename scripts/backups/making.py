"""Making a backup, listing and checking those that there are: the commands' work, step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.backups import files, postgres, shelf, sqlite
from scripts.backups.contents import Contents
from scripts.backups.errors import BackupError, Damaged, told_of, told_of_database
from scripts.backups.manifest import FORMAT, Dump, Manifest, Source, new_name
from scripts.backups.places import Place, opened_backups, opened_files
from scripts.backups.work import (
    Report,
    described,
    fetch_dump,
    kind_of,
    parsed,
    private_folder,
    sha256_of,
    size_in_words,
)
from src import __version__
from src.adapters.database.engine import CONNECT_SECONDS
from src.config.settings import Settings

Say = Callable[[str], None]

_SEALED = (
    "Sealed ones open with this service's STORAGE_KEYS or storage.key, which no backup holds: keep them elsewhere."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`to` None: as the settings say."""

    to: str | None
    with_files: bool
    keep_days: int
    keep_last: int


async def make(settings: Settings, wanted: Wanted, say: Say) -> Report:
    """A backup that counts, and then the old ones away. Raises BackupError."""
    async with opened_backups(settings, wanted.to, make=True) as place, private_folder() as folder:
        now = datetime.now(UTC)
        name, path = new_name(now), folder / "dump"

        # 1. The database, and of the same moment what is in it.
        say(f"Dumping {described(parsed(settings.effective_database_url))} ...")
        source, contents = await _dump(settings, path)

        # 2. The files that its rows refer to.
        async with opened_files(settings) as storage:
            found = await files.look_up(storage, contents.files)

            # 3. The dump, then copies of the files, and the manifest last: with it the backup counts.
            size = path.stat().st_size
            dump = Dump(size=size, sha256=await sha256_of(path))
            say(f"Uploading {size_in_words(size)} to {place.described} ...")
            with told_of(place.described):
                await place.store.upload(shelf.dump_key(name), path)
            if wanted.with_files:
                say(f"Copying {len(found)} files ...")
                found = await files.copy_in(storage, place, name, found)
        manifest = Manifest(
            format=FORMAT,
            name=name,
            created_at=now,
            service_version=__version__,
            source=source,
            dump=dump,
            rows=contents.rows,
            files_included=wanted.with_files,
            files=found,
        )
        with told_of(place.described):
            await place.store.put(shelf.manifest_key(name), manifest.to_bytes())

        # 4. Those that are too old.
        deleted = await _retire(place, name, wanted)
    return _made(manifest, place, deleted)


async def show(settings: Settings, where: str | None) -> Report:
    """All backups, newest first. Raises BackupError."""
    async with opened_backups(settings, where, make=False) as place:
        found = await shelf.entries(place)
    if not found:
        return Report([f"There is no backup in {place.described}."], {"place": place.described, "backups": []})
    return Report(
        [_line(entry) for entry in found],
        {"place": place.described, "backups": [_facts(entry) for entry in found]},
    )


async def verify(settings: Settings, where: str | None, name: str, say: Say) -> Report:
    """Download one, and compare it with its manifest. Raises Damaged, BackupError."""
    async with opened_backups(settings, where, make=False) as place, private_folder() as folder:
        manifest = await shelf.choose(place, name)
        say(f"Reading {manifest.name} ...")
        path = folder / "dump"
        await fetch_verified(place, manifest, path)
        if manifest.source.kind == "postgresql":
            await postgres.check(path, manifest.source)
        else:
            await sqlite.check(path)
        await files.verify(place, manifest)
    copies = f" and {len(manifest.included)} files" if manifest.files_included else ""
    return Report(
        [f"{manifest.name} is whole: the dump ({size_in_words(manifest.dump.size)}){copies} as the manifest says."],
        {"name": manifest.name, "size": manifest.dump.size, "files": len(manifest.included)},
    )


async def fetch_verified(place: Place, manifest: Manifest, path: Path) -> None:
    """The dump, to a new file. Raises Damaged when it is not the one that the manifest describes."""
    if await fetch_dump(place, manifest, path) != manifest.dump.sha256:
        raise Damaged(f"The dump of {manifest.name} is damaged: it has another checksum than its manifest says.")


async def _dump(settings: Settings, path: Path) -> tuple[Source, Contents]:
    url = parsed(settings.effective_database_url)
    with told_of_database(described(url)):
        if kind_of(url) == "postgresql":
            return await postgres.dump(url, path, CONNECT_SECONDS)
        return await sqlite.dump(url, path)


async def _retire(place: Place, made: str, wanted: Wanted) -> list[str]:
    """The names of those that were deleted."""
    try:
        old = shelf.to_delete(await shelf.entries(place), datetime.now(UTC), wanted.keep_days, wanted.keep_last)
        for entry in old:
            await shelf.delete(place, entry.name)
    except BackupError as error:
        raise BackupError(f"The backup {made} is made, but old ones could not be deleted. {error}") from error
    return [entry.name for entry in old]


def _made(manifest: Manifest, place: Place, deleted: list[str]) -> Report:
    missing = [key for key, file in manifest.files.items() if file.size is None]
    rows = sum(manifest.rows.values())
    lines = [
        f"Backup {manifest.name} is in {place.described}:"
        f" {size_in_words(manifest.dump.size)}, {rows} rows in {len(manifest.rows)} tables,"
        f" schema {manifest.source.schema_revision}."
    ]
    if manifest.files_included:
        lines.append(f"Copied files: {files.in_words(manifest.included)}. {_SEALED}")
    elif manifest.files:
        lines.append(f"Not copied: {files.in_words(manifest.files)}. --with-files does it.")
    if missing:
        lines.append(f"Missing in the storage already: {files.in_words(missing)}.")
    if deleted:
        lines.append(f"Deleted old backups: {', '.join(deleted)}.")
    return Report(
        lines,
        {
            "name": manifest.name,
            "place": place.described,
            "size": manifest.dump.size,
            "sha256": manifest.dump.sha256,
            "schema_revision": manifest.source.schema_revision,
            "rows": manifest.rows,
            "files": len(manifest.files),
            "files_copied": len(manifest.included),
            "files_missing": missing,
            "deleted": deleted,
        },
    )


def _line(entry: shelf.Entry) -> str:
    if entry.manifest is None:
        return f"{entry.name}  {entry.trouble}"
    manifest = entry.manifest
    copies = f", {len(manifest.included)} files" if manifest.files_included else ""
    return (
        f"{entry.name}  {manifest.source.kind} {manifest.source.server_version}, schema"
        f" {manifest.source.schema_revision}, {sum(manifest.rows.values())} rows, {size_in_words(entry.size)}{copies}"
    )


def _facts(entry: shelf.Entry) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": entry.name,
        "began_at": entry.began_at.isoformat(),
        "size": entry.size,
        "complete": entry.manifest is not None,
    }
    if entry.manifest is None:
        return facts | {"trouble": entry.trouble}
    return facts | {
        "schema_revision": entry.manifest.source.schema_revision,
        "rows": sum(entry.manifest.rows.values()),
        "files_included": entry.manifest.files_included,
    }
