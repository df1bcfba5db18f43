"""Where backups lie, what each says about itself, and which of them count.

dumps/NAME.dump         the database
files/NAME/KEY          copies of the storage's files, where they were asked for
manifests/NAME.json     written last and deleted first: without it the backup does not count
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from scripts.backups.command import BackupError, WrongUse, told_of
from src.adapters.storage.keys import is_key
from src.adapters.storage.local import LocalStorage
from src.bootstrap.storage import s3_options
from src.config.settings import Settings
from src.domain.errors import DamagedFile, NotFound
from src.utils.concurrency import for_each

if TYPE_CHECKING:
    from src.adapters.storage.s3 import S3Storage

_COPIED = ("references", "embeddings", "results")  # recordings that wait for their job are to be erased within a day
UNFINISHED = "unfinished: it has no manifest"

_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(.+?))?/?")
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_TIME = "%Y%m%dT%H%M%SZ"
_UNFINISHED_KEPT = timedelta(days=1)  # it may be under way
_URL_SECONDS = 60  # of signed addresses, which nothing here makes
_AT_ONCE = 4  # files in memory, each of up to 50 MB


@dataclass(frozen=True, slots=True)
class Place:
    """`described`: as people write it, without a secret."""

    store: "LocalStorage | S3Storage"
    described: str


class Source(BaseModel):
    """The database that was dumped. `schema_name`: where Postgres has its tables."""

    kind: Literal["postgresql", "sqlite"]
    schema_revision: str
    schema_name: str


class StoredFile(BaseModel):
    """`sha256` None: the backup has no copy, which earlier releases listed."""

    size: int | None
    sha256: str | None


class Manifest(BaseModel):
    """`rows`: how many each table has. `files`: the copied ones, by their keys in the storage."""

    format: Literal[1] = 1
    name: str
    created_at: datetime
    service_version: str
    source: Source
    dump: StoredFile
    rows: dict[str, int]
    files: dict[str, StoredFile]


@dataclass(frozen=True, slots=True)
class Entry:
    """`manifest` None: it does not count, for the reason `trouble`."""

    name: str
    began_at: datetime
    manifest: Manifest | None = None
    trouble: str = ""

    @property
    def described(self) -> str:
        manifest = self.manifest
        if manifest is None:
            return f"{self.name}  {self.trouble}"
        rows, files = sum(manifest.rows.values()), len(manifest.files)
        return f"{self.name}  {manifest.source.kind}, {rows} rows, {manifest.dump.size} bytes, {files} files"


def opened_files(settings: Settings) -> AbstractAsyncContextManager[Place]:
    """The storage of the service. Raises BackupError."""
    return _opened(settings, _bucket(settings) or str(settings.data_dir / "audio"))


def opened_backups(settings: Settings, where: str | None, *, make: bool) -> AbstractAsyncContextManager[Place]:
    """The place that `where` names, or BACKUP_TO, or the storage. `make`: a folder that is not there is made."""
    usual = f"{bucket}/backups" if (bucket := _bucket(settings)) else str(settings.data_dir / "backups")
    place = where or settings.backup_to or usual
    if not make and "://" not in place and not Path(place).is_dir():
        raise WrongUse(f"There are no backups in {place}: there is no such folder.")
    return _opened(settings, place)


def _bucket(settings: Settings) -> str | None:
    return f"s3://{settings.s3_bucket}/{settings.s3_prefix or ''}".rstrip("/") if settings.storage == "s3" else None


@asynccontextmanager
async def _opened(settings: Settings, where: str) -> AsyncIterator[Place]:
    match = _BUCKET.fullmatch(where)
    if "://" in where and not (match and is_key(match[2] or "none")):
        raise WrongUse(f"{where} is neither a folder nor of the form s3://bucket/prefix.")
    if match:
        from src.adapters.storage.s3 import S3Storage  # noqa: PLC0415 - boto3 is not needed for folders

        storage = S3Storage(replace(s3_options(settings), bucket=match[1], prefix=match[2] or ""), _URL_SECONDS)
        try:
            with told_of(where):
                await storage.start()
            yield Place(storage, where)
        finally:
            await storage.close()
        return
    folder = LocalStorage(Path(where), secrets.token_bytes(32), _URL_SECONDS)
    with told_of(where):
        await folder.start()
    yield Place(folder, where)


def new_name(at: datetime) -> str:
    """Names sort as their backups were made; the end of it keeps two of one second apart."""
    return f"{at.astimezone(UTC):{_TIME}}-{secrets.token_hex(3)}"


async def put(place: Place, manifest: Manifest) -> None:
    with told_of(place.described):
        await place.store.put(f"manifests/{manifest.name}.json", manifest.model_dump_json(indent=1).encode())


async def upload(place: Place, name: str, dump: Path) -> StoredFile:
    with told_of(place.described):
        await place.store.upload(f"dumps/{name}.dump", dump)
    return await asyncio.to_thread(_described, dump)


async def download(place: Place, manifest: Manifest, path: Path) -> None:
    """The dump, to a new file. Raises BackupError when it is not the one that the manifest describes."""
    with told_of(f"The dump of {manifest.name} in {place.described}"):
        await place.store.download(f"dumps/{manifest.name}.dump", path)
    if await asyncio.to_thread(_described, path) != manifest.dump:
        raise BackupError(f"The dump of {manifest.name} is damaged: it has another digest than its manifest says.")


def _described(path: Path) -> StoredFile:
    with path.open("rb") as file:
        return StoredFile(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


async def files_in(storage: Place, folders: Iterable[str]) -> set[str]:
    with told_of(storage.described):
        return {key for folder in folders for key in await storage.store.sizes_under(folder)}


async def copy_files(storage: Place, place: Place, name: str) -> dict[str, StoredFile]:
    """One that is deleted meanwhile, or is damaged, is not copied. Raises BackupError."""
    copied: dict[str, StoredFile] = {}

    async def copy(key: str) -> None:
        with told_of(storage.described):
            try:
                data = await storage.store.get(key)
            except (NotFound, DamagedFile):
                return
        with told_of(place.described):
            await place.store.put(f"files/{name}/{key}", data)
        copied[key] = StoredFile(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    await for_each(sorted(await files_in(storage, _COPIED)), copy, at_once=_AT_ONCE)
    return copied


async def put_back(place: Place, manifest: Manifest, keys: Iterable[str], storage: Place | None) -> list[str]:
    """Those that the backup has, into the storage; None: only read them. Raises BackupError for a damaged one."""
    copied = {key for key, file in manifest.files.items() if file.sha256}

    async def copy(key: str) -> None:
        with told_of(f"{key} in {manifest.name}"):
            data = await place.store.get(f"files/{manifest.name}/{key}")
        if hashlib.sha256(data).hexdigest() != manifest.files[key].sha256:
            raise BackupError(f"{key} in {manifest.name} is damaged: it has another digest.")
        if storage:
            with told_of(storage.described):
                await storage.store.put(key, data)

    there = [key for key in keys if key in copied]
    await for_each(there, copy, at_once=_AT_ONCE)
    return there


async def entries(place: Place) -> list[Entry]:
    """Everything that has a backup's name, newest first. Raises BackupError when the place does not answer."""
    with told_of(place.described):
        sizes = await place.store.sizes_under("dumps") | await place.store.sizes_under("manifests")
        names = {key.partition("/")[2].partition(".")[0] for key in sizes}
        found = [await _entry(place, name, sizes) for name in names if _NAME.fullmatch(name)]
    return sorted(found, key=lambda entry: (entry.began_at, entry.name), reverse=True)


async def _entry(place: Place, name: str, sizes: dict[str, int]) -> Entry:
    began_at = datetime.strptime(name.partition("-")[0], _TIME).replace(tzinfo=UTC)
    if f"manifests/{name}.json" not in sizes:
        return Entry(name, began_at, trouble=UNFINISHED)
    try:
        manifest = await read(place, name)
    except BackupError as error:
        return Entry(name, began_at, trouble=f"damaged: {error}")
    if sizes.get(f"dumps/{name}.dump") != manifest.dump.size:
        return Entry(name, began_at, trouble="damaged: its dump is not there, or has another size")
    return Entry(name, manifest.created_at, manifest)


async def read(place: Place, name: str) -> Manifest:
    """The manifest of `name`, or of the `latest` that counts. Raises BackupError."""
    if name == "latest":
        if good := [entry.manifest for entry in await entries(place) if entry.manifest]:
            return good[0]
        raise BackupError(f"There is no backup that counts in {place.described}.")
    if not _NAME.fullmatch(name):
        raise WrongUse(f"{name} is no backup's name: scripts/backup.py --list shows them.")
    with told_of(f"The backup {name} is not in {place.described}, or was never finished"):
        data = await place.store.get(f"manifests/{name}.json")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise BackupError(f"The manifest of {name} cannot be read.") from None
    if manifest.name != name:
        raise BackupError(f"The manifest of {name} is that of another backup.")
    return manifest


def to_delete(found: Sequence[Entry], at: datetime, keep_days: int, keep_last: int) -> list[str]:
    """The names of those older than `keep_days` but for the newest `keep_last` that count; and what was left
    unfinished a day ago. None while no backup counts.
    """
    good = sorted(((entry.began_at, entry.name) for entry in found if entry.manifest), reverse=True)
    kept = {name for _, name in good[: max(1, keep_last)]}
    oldest, unfinished = at - timedelta(days=keep_days), at - _UNFINISHED_KEPT
    old = [entry for entry in found if entry.began_at < (unfinished if entry.trouble == UNFINISHED else oldest)]
    return [entry.name for entry in old if kept and entry.name not in kept]


async def retire(place: Place, at: datetime, keep_days: int, keep_last: int) -> list[str]:
    """Delete those that are too old, and return their names. Raises BackupError."""
    old = to_delete(await entries(place), at, keep_days, keep_last)
    with told_of(f"The backup is made, but old ones in {place.described} could not be deleted"):
        for name in old:  # cut short, it leaves something unfinished, which a later run deletes
            await place.store.delete(f"manifests/{name}.json")
            await place.store.delete_under(f"files/{name}")
            await place.store.delete(f"dumps/{name}.dump")
    return old
