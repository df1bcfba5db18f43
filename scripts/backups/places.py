"""Where backups lie, and where the files lie that the database's rows refer to."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from scripts.backups.errors import WrongUse, told_of
from src.adapters.storage.keys import is_key
from src.adapters.storage.local import LocalStorage
from src.adapters.storage.private_files import KEY_BYTES
from src.adapters.storage.s3_calls import S3Options
from src.bootstrap.storage import s3_options
from src.config.settings import Settings

FOLDER = "backups"

_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(.+?))?/?")
_URL_SECONDS = 60  # of signed addresses, which nothing here makes


class Store(Protocol):
    """What backups need of a storage: both of the service's have it."""

    async def put(self, key: str, data: bytes) -> None: ...

    async def get(self, key: str) -> bytes: ...

    async def read_version(self, key: str) -> tuple[bytes, str]: ...

    async def replace(self, key: str, data: bytes, version: str) -> bool: ...

    async def upload(self, key: str, path: Path) -> None: ...

    async def download(self, key: str, path: Path) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int: ...

    async def sizes_under(self, prefix: str) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """`described`: as people write it, without a secret."""

    store: Store
    described: str


@asynccontextmanager
async def opened_backups(settings: Settings, where: str | None, *, make: bool) -> AsyncIterator[Place]:
    """The place that `where` names, or BACKUP_TO, or the storage. `make`: a folder that is not there is made.

    Raises WrongUse, BackupError.
    """
    where = where or settings.backup_to
    if where is None and settings.storage == "s3":
        options = s3_options(settings)
        async with _opened_bucket(replace(options, prefix=f"{options.prefix}/{FOLDER}".lstrip("/"))) as place:
            yield place
    elif where is not None and where.startswith("s3://"):
        async with _opened_bucket(_bucket_options(settings, where)) as place:
            yield place
    elif where is not None and "://" in where:
        raise WrongUse("Backups lie in a folder or at s3://bucket/prefix.")
    else:
        folder = settings.data_dir / FOLDER if where is None else Path(where)
        if not make and not folder.is_dir():
            raise WrongUse(f"There are no backups in {folder}: there is no such folder.")
        yield await _opened_folder(folder)


@asynccontextmanager
async def opened_files(settings: Settings) -> AsyncIterator[Place]:
    """The storage of the service. Raises BackupError."""
    if settings.storage == "s3":
        async with _opened_bucket(s3_options(settings)) as place:
            yield place
    else:
        yield await _opened_folder(settings.data_dir / "audio")


def _bucket_options(settings: Settings, where: str) -> S3Options:
    match = _BUCKET.fullmatch(where)
    if match is None or not is_key(match[2] or FOLDER):
        raise WrongUse(f"{where} is not of the form s3://bucket/prefix.")
    return replace(s3_options(settings), bucket=match[1], prefix=match[2] or "")


@asynccontextmanager
async def _opened_bucket(options: S3Options) -> AsyncIterator[Place]:
    from src.adapters.storage.s3 import S3Storage  # noqa: PLC0415 - boto3 is not needed for folders

    described = f"s3://{options.bucket}/{options.prefix}".rstrip("/")
    storage = S3Storage(options, _URL_SECONDS)
    try:
        with told_of(described):
            await storage.start()
        yield Place(storage, described)
    finally:
        await storage.close()


async def _opened_folder(folder: Path) -> Place:
    storage = LocalStorage(folder, secrets.token_bytes(KEY_BYTES), _URL_SECONDS)
    with told_of(str(folder)):
        await storage.start()
    return Place(storage, str(folder))
