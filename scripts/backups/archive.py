"""Where backups lie, and what each says about itself.

dumps/NAME.dump         the database
files/NAME/KEY          copies of the storage's files, where they were asked for
manifests/NAME.json     written last and deleted first: without it the backup does not count
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from scripts.parts.command import BackupError, told_of
from src.adapters.storage.local import LocalStorage
from src.adapters.storage.private_files import is_key
from src.adapters.storage.s3 import S3Storage
from src.bootstrap.storage import audio_folder, s3_options
from src.config.settings import Settings
from src.domain.errors import DamagedFile, NotFound
from src.utils.concurrency import for_each

_COPIED = ("references", "embeddings", "results")  # recordings that wait for their job are to be erased within a day
_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(.+?))?/?")
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_TIME = "%Y%m%dT%H%M%SZ"
_KEEP_LAST = 3
_URL_SECONDS = 60  # of signed addresses, which nothing here makes
_AT_ONCE = 4  # files in memory, each of up to 50 MB


@dataclass(frozen=True, slots=True)
class Place:
    """`described`: as people write it, without a secret."""

    store: LocalStorage | S3Storage
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
    """`files`: the copied ones, by their keys in the storage."""

    name: str
    created_at: datetime
    service_version: str
    source: Source
    dump: StoredFile
    files: dict[str, StoredFile]


@asynccontextmanager
async def opened(settings: Settings, *, backups: bool = False) -> AsyncIterator[Place]:
    """The storage of the service, or that of its backups. Raises BackupError, also for what is done with it."""
    where = str(settings.data_dir / "backups" if backups else audio_folder(settings))
    if settings.storage == "s3":
        where = "/".join(filter(None, (f"s3://{settings.s3_bucket}", settings.s3_prefix, "backups" if backups else "")))
    where = settings.backup_to or where if backups else where
    match = _BUCKET.fullmatch(where)
    if "://" in where and not (match and is_key(match[2] or "none")):
        raise BackupError(f"{where} is neither a folder nor of the form s3://bucket/prefix.", 2)
    with told_of(where):
        if not match:
            folder = LocalStorage(Path(where), secrets.token_bytes(32), _URL_SECONDS)
            await folder.start()
            yield Place(folder, where)
            return
        bucket = S3Storage(replace(s3_options(settings), bucket=match[1], prefix=match[2] or ""), _URL_SECONDS)
        try:
            await bucket.start()
            yield Place(bucket, where)
        finally:
            await bucket.close()


def new_name(at: datetime) -> str:
    """Names sort as their backups were made; the end of it keeps two of one second apart."""
    return f"{at.astimezone(UTC):{_TIME}}-{secrets.token_hex(3)}"


def described(path: Path) -> StoredFile:
    with path.open("rb") as file:
        return StoredFile(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


async def download(place: Place, manifest: Manifest, path: Path) -> None:
    """The dump, to a new file. Raises BackupError when it is not the one that the manifest describes."""
    with told_of(f"The dump of {manifest.name} in {place.described}"):
        await place.store.download(f"dumps/{manifest.name}.dump", path)
    if await asyncio.to_thread(described, path) != manifest.dump:
        raise BackupError(f"The dump of {manifest.name} is damaged: it has another digest than its manifest says.")


async def copy_files(storage: Place, place: Place, name: str) -> dict[str, StoredFile]:
    """One that is deleted meanwhile, or is damaged, is not copied."""
    copied: dict[str, StoredFile] = {}

    async def copy(key: str) -> None:
        try:
            data = await storage.store.get(key)
        except (NotFound, DamagedFile):
            return
        await place.store.put(f"files/{name}/{key}", data)
        copied[key] = StoredFile(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    await for_each([key for each in _COPIED for key in await storage.store.sizes_under(each)], copy, at_once=_AT_ONCE)
    return copied


async def put_back(place: Place, manifest: Manifest, keys: Collection[str], storage: Place | None) -> list[str]:
    """Those that the backup has, into the storage; None: only read them. Raises BackupError for a damaged one."""
    digests = {key: file.sha256 for key, file in manifest.files.items() if file.sha256 and key in keys}

    async def copy(key: str) -> None:
        with told_of(f"{key} in {manifest.name}"):
            data = await place.store.get(f"files/{manifest.name}/{key}")
        if hashlib.sha256(data).hexdigest() != digests[key]:
            raise BackupError(f"{key} in {manifest.name} is damaged: it has another digest.")
        if storage:
            await storage.store.put(key, data)

    await for_each(digests, copy, at_once=_AT_ONCE)
    return sorted(digests)


async def backups(place: Place) -> dict[str, Manifest | None]:
    """All by name, newest first. None: it does not count, as it is unfinished or damaged."""
    sizes = await place.store.sizes_under("dumps") | await place.store.sizes_under("manifests")
    found: dict[str, Manifest | None] = {}
    for name in sorted({key.partition("/")[2].partition(".")[0] for key in sizes}, reverse=True):
        if _NAME.fullmatch(name):
            try:
                manifest = await read(place, name)
                found[name] = manifest if sizes.get(f"dumps/{name}.dump") == manifest.dump.size else None
            except BackupError:
                found[name] = None
    return found


async def read(place: Place, name: str) -> Manifest:
    """The manifest of `name`, or of the `latest` that counts. Raises BackupError."""
    if name == "latest":
        if good := next(filter(None, (await backups(place)).values()), None):
            return good
        raise BackupError(f"There is no backup that counts in {place.described}.")
    if not _NAME.fullmatch(name):
        raise BackupError(f"{name} is no backup's name: scripts/backup.py --list shows them.", 2)
    with told_of(f"The backup {name} is not in {place.described}, or was never finished"):
        data = await place.store.get(f"manifests/{name}.json")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError:
        raise BackupError(f"The manifest of {name} cannot be read.") from None


def too_old(found: Mapping[str, Manifest | None], at: datetime, keep_days: int) -> list[str]:
    """The names of those older than `keep_days`, but for the newest 3 that count. None while no backup counts; what is
    unfinished stays for a day, as it may be under way.
    """
    kept = [name for name, manifest in found.items() if manifest][:_KEEP_LAST]
    days = {name: keep_days if manifest else max(1, keep_days) for name, manifest in found.items()}
    old = [name for name in found if name < f"{at - timedelta(days=days[name]):{_TIME}}"]
    return [name for name in old if kept and name not in kept]


async def delete(place: Place, name: str) -> None:
    """Cut short, it leaves something unfinished, which a later run deletes."""
    await place.store.delete(f"manifests/{name}.json")
    await place.store.delete_under(f"files/{name}")
    await place.store.delete(f"dumps/{name}.dump")
