"""The files that rows refer to: which of them are in the storage, and copies of them in a backup."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from scripts.backups.errors import BackupError, Damaged, told_of
from scripts.backups.manifest import Manifest, StoredFile
from scripts.backups.places import Place
from scripts.backups.shelf import file_key
from src.adapters.storage.keys import is_key
from src.domain.errors import DamagedFile, NotFound
from src.utils.concurrency import for_each

COPIED = ("references", "embeddings", "results")
"""Recordings that wait for their job are not copied: they are to be erased within a day."""

_AT_ONCE = 4  # files in memory, each of up to 50 MB


async def look_up(storage: Place, keys: Iterable[str]) -> dict[str, StoredFile]:
    """Each with its size, or None where it is missing. Raises BackupError when the storage does not answer."""
    wanted = sorted(keys)
    sizes: dict[str, int] = {}
    with told_of(storage.described):
        for folder in sorted({key.partition("/")[0] for key in wanted if is_key(key)}):
            sizes |= await storage.store.sizes_under(folder)
    return {key: StoredFile(size=sizes.get(key)) for key in wanted}


async def without_a_row(storage: Place, keys: Collection[str]) -> list[str]:
    """Voices and answers in the storage that are not among the `keys` that rows refer to. Raises BackupError."""
    with told_of(storage.described):
        found = [key for folder in COPIED for key in await storage.store.sizes_under(folder)]
    return sorted(set(found) - set(keys))


async def erase(storage: Place, keys: Iterable[str], folders: Iterable[str] = ()) -> None:
    """These, and all in these folders. Raises BackupError."""

    async def delete(key: str) -> None:
        with told_of(storage.described):
            await storage.store.delete(key)

    await for_each(filter(is_key, keys), delete, at_once=_AT_ONCE)
    for folder in folders:
        with told_of(storage.described):
            await storage.store.delete_under(folder)


async def copy_in(storage: Place, backups: Place, name: str, files: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
    """`files`, with the checksums of those that were copied. One that was deleted meanwhile is missing, and a damaged
    one is not copied. Raises BackupError.
    """
    copied = dict(files)

    async def copy(key: str) -> None:
        try:
            with told_of(storage.described):
                data = await storage.store.get(key)
        except BackupError as error:
            if isinstance(error.__cause__, NotFound):
                copied[key] = StoredFile(size=None)
            elif not isinstance(error.__cause__, DamagedFile):
                raise
            return
        with told_of(backups.described):
            await backups.store.put(file_key(name, key), data)
        copied[key] = StoredFile(size=len(data), sha256=await _sha256(data))

    wanted = [key for key, file in files.items() if file.size is not None and _is_copied(key)]
    await for_each(wanted, copy, at_once=_AT_ONCE)
    return copied


async def verify(backups: Place, manifest: Manifest) -> None:
    """Read every copied file. Raises Damaged, BackupError."""
    await for_each(manifest.included, lambda key: _read(backups, manifest, key), at_once=_AT_ONCE)


async def put_back(backups: Place, storage: Place, manifest: Manifest, keys: Iterable[str]) -> int:
    """Copy those that the backup has into the storage. Returns how many. Raises Damaged, BackupError."""

    async def copy(key: str) -> None:
        data = await _read(backups, manifest, key)
        with told_of(storage.described):
            await storage.store.put(key, data)

    there = [key for key in keys if key in manifest.included]
    await for_each(there, copy, at_once=_AT_ONCE)
    return len(there)


def in_words(keys: Iterable[str]) -> str:
    """How many lie in each of the storage's folders: `3 in references, 1 in results`."""
    counted = Counter(key.partition("/")[0] for key in keys)
    return ", ".join(f"{count} in {folder}" for folder, count in sorted(counted.items())) or "none"


async def _read(backups: Place, manifest: Manifest, key: str) -> bytes:
    with told_of(f"{key} in {manifest.name}"):
        data = await backups.store.get(file_key(manifest.name, key))
    if await _sha256(data) != manifest.files[key].sha256:
        raise Damaged(f"{key} in {manifest.name} is damaged: it has another checksum.")
    return data


async def _sha256(data: bytes) -> str:
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


def _is_copied(key: str) -> bool:
    return is_key(key) and key.partition("/")[0] in COPIED
