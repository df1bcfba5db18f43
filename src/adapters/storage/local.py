"""Storage in a folder of this machine, with signed addresses that this server answers itself."""

import asyncio
import fcntl
import hashlib
import hmac
import logging
import math
import os
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from src.adapters.storage.private_files import (
    KEY_BYTES,
    NOT_THERE,
    checked,
    copy_private,
    is_key,
    is_locked,
    no_such_file,
    write_private,
)
from src.domain.errors import EngineUnavailable
from src.utils.concurrency import finish_before_cancel

logger = logging.getLogger(__name__)

_EXPIRES = re.compile(r"[0-9]{1,12}")
_MOVES = 50
_LEFTOVER_SECONDS = 20.0  # between the end of a write and its move there is less, by far
_PAGE_KEYS = 1000


class LocalStorage:
    """Implements Storage with files under `root`, readable by this user only.

    What is no key (`is_key`) raises ValueError. A file is there as a whole or not at all, also when the process is
    killed. A power cut may take what was written in the last seconds, as with the database: waiting for the disk cost
    7 ms for 10 s of audio, and up to 120.
    `signing_key` [>= 32 bytes] signs addresses that hold for `url_ttl_seconds`; `clock` counts Unix seconds.
    """

    def __init__(
        self,
        root: Path,
        signing_key: bytes,
        url_ttl_seconds: int,
        url_prefix: str = "/api/v1/audio/",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(signing_key) < KEY_BYTES:
            raise ValueError(f"The signing key needs at least {KEY_BYTES} bytes.")
        self._root = root
        self._partial = root / ".partial"
        self._signing_key = signing_key
        self._url_ttl_seconds = url_ttl_seconds
        self._url_prefix = url_prefix
        self._clock = clock
        self._folders = threading.Lock()  # a delete must not take an emptied folder away from a put

    async def start(self) -> None:
        """Make the folders, and remove what writes that were killed left behind. Raises EngineUnavailable."""
        with _translated():
            await asyncio.to_thread(self._make_folder, self._partial)
            await asyncio.to_thread(self._remove_leftovers)

    async def put(self, key: str, data: bytes) -> None:
        """Raises EngineUnavailable when the disk refuses. Once it has ended, also cancelled, it writes no more."""
        path = self._path(key)
        await self._uninterrupted(self._write, path, lambda partial: write_private(partial, data, wait_for_disk=False))

    async def read_version(self, key: str) -> tuple[bytes, str]:
        """What is there, and a name for exactly this file, for `replace`. Raises as `get`."""
        path = self._path(key)
        with _translated():
            return await asyncio.to_thread(_read_version, path)

    async def replace(self, key: str, data: bytes, version: str) -> bool:
        """Put `data` in the place of that file, with its time. False, and nothing happens: it was deleted or written
        again meanwhile, by whatever process. Raises EngineUnavailable.
        """
        path = self._path(key)
        with _translated():
            return await asyncio.to_thread(self._replace, path, data, version)

    async def upload(self, key: str, path: Path) -> None:
        """A file of any size, as `put`; it is on the disk when this returns."""
        target = self._path(key)
        await self._uninterrupted(self._write, target, lambda partial: copy_private(path, partial))

    async def get(self, key: str) -> bytes:
        """Raises NotFound, EngineUnavailable."""
        return (await self.read_version(key))[0]

    async def download(self, key: str, path: Path) -> None:
        """A copy for this user only, to `path`, which must be free. Raises as `get`."""
        await self._uninterrupted(copy_private, self._path(key), path)

    async def delete(self, key: str) -> None:
        """Remove it, and the folders that it leaves empty; nothing happens when it is not there."""
        with _translated():
            await asyncio.to_thread(self._remove, self._path(key))

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int:
        with _translated():
            return await asyncio.to_thread(self._remove_under, self._path(prefix), time.time() - older_than_seconds)

    async def erase(self, path: str) -> None:
        """As `delete`, or as `delete_under` for a path that ends in `/`; and what killed writes left anywhere."""
        if path.endswith("/"):
            await self.delete_under(path[:-1])
        else:
            await self.delete(path)
        with _translated():
            await asyncio.to_thread(self._remove_leftovers)

    async def pages_under(self, prefix: str, older_than_seconds: float = 0.0) -> AsyncIterator[list[str]]:
        with _translated():
            keys = list(
                await asyncio.to_thread(self._sizes_under, self._path(prefix), time.time() - older_than_seconds)
            )
        for start in range(0, len(keys), _PAGE_KEYS):
            yield keys[start : start + _PAGE_KEYS]

    def notices(self) -> tuple[str, ...]:
        return ()

    async def sizes_under(self, prefix: str) -> dict[str, int]:
        """The keys of everything under `prefix/`, each with its bytes. Raises EngineUnavailable."""
        with _translated():
            return await asyncio.to_thread(self._sizes_under, self._path(prefix))

    def url(self, key: str) -> str:
        """A path on this server with `expires` (Unix seconds) and `signature` in its query."""
        self._path(key)
        expires = str(int(self._clock()) + self._url_ttl_seconds)
        query = urlencode({"expires": expires, "signature": self._sign(key, expires)})
        return f"{self._url_prefix}{key}?{query}"

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not (is_key(key) and _EXPIRES.fullmatch(expires)):
            raise no_such_file()
        genuine = hmac.compare_digest(signature.encode(errors="replace"), self._sign(key, expires).encode())
        if not genuine or int(expires) <= self._clock():
            raise no_such_file()
        return await self.get(key)

    def _sign(self, key: str, expires: str) -> str:
        return hmac.new(self._signing_key, f"{key}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    def _remove_leftovers(self) -> None:
        """Of writes that were killed: who writes holds a lock on its file, which ends with its process."""
        for leftover in _files_under(self._partial):
            with suppress(FileNotFoundError):  # another process may do the same
                if leftover.stat().st_mtime < time.time() - _LEFTOVER_SECONDS and not is_locked(leftover):
                    leftover.unlink()

    def _make_folder(self, folder: Path) -> None:
        """With its parents, each for this user only."""
        if folder != self._root:
            self._make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _uninterrupted(self, work: Callable[..., None], *args: Any) -> None:
        """`work(*args)` in a thread. Cancelled, it ends when the thread has, so that nothing is written later."""
        with _translated():
            await finish_before_cancel(asyncio.to_thread(work, *args))

    @contextmanager
    def _new_partial(self) -> Iterator[Path]:
        """Where a file is written before it is moved to its place."""
        self._make_folder(self._partial)
        partial = self._partial / secrets.token_hex(16)
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _write(self, path: Path, fill: Callable[[Path], None]) -> None:
        with self._new_partial() as partial:
            fill(partial)
            self._move_in(partial, path)

    def _move_in(self, partial: Path, path: Path) -> None:
        for left in reversed(range(_MOVES)):
            try:
                with self._folders, self._locked(fcntl.LOCK_SH):
                    self._make_folder(path.parent)
                    partial.replace(path)
            except (FileNotFoundError, FileExistsError):  # another process took a folder away, which was empty
                if not left:
                    raise
            else:
                return

    def _replace(self, path: Path, data: bytes, version: str) -> bool:
        with suppress(*NOT_THERE), self._new_partial() as partial:
            write_private(partial, data, wait_for_disk=True)
            with self._locked(fcntl.LOCK_EX):
                found = path.stat()
                if _version(found) == version:
                    os.utime(partial, ns=(found.st_atime_ns, found.st_mtime_ns))  # what is erased by age still is
                    partial.replace(path)
                    return True
        return False

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Between processes: while one replaces a file, none writes or deletes. A process that ends lets go."""
        self._make_folder(self._partial)
        folder = os.open(self._partial, os.O_RDONLY)
        try:
            fcntl.flock(folder, how)
            yield
        finally:
            os.close(folder)

    def _remove(self, path: Path) -> None:
        with suppress(*NOT_THERE), self._locked(fcntl.LOCK_SH):
            path.unlink()
        with self._folders, suppress(OSError):  # not empty, or gone already
            for folder in path.relative_to(self._root).parents[:-1]:
                (self._root / folder).rmdir()

    def _remove_under(self, folder: Path, written_before: float) -> int:
        removed = 0
        for key, _ in self._under(folder, written_before):
            self._remove(self._root / key)
            removed += 1
        return removed

    def _sizes_under(self, folder: Path, written_before: float = math.inf) -> dict[str, int]:
        return dict(self._under(folder, written_before))

    def _under(self, folder: Path, written_before: float) -> Iterator[tuple[str, int]]:
        """The key and the bytes of each file."""
        for path in _files_under(folder):
            with suppress(FileNotFoundError):  # a delete at the same time
                found = path.stat()
                if found.st_mtime <= written_before:
                    yield path.relative_to(self._root).as_posix(), found.st_size


def _files_under(folder: Path) -> list[Path]:
    """os.walk passes over a folder that is gone when its turn comes, which pathlib does not."""
    return [Path(inside, name) for inside, _, names in os.walk(folder) for name in names]


def _read_version(path: Path) -> tuple[bytes, str]:
    """Raises NotFound."""
    try:
        with path.open("rb") as file:
            return file.read(), _version(os.fstat(file.fileno()))
    except NOT_THERE:
        raise no_such_file() from None


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"


@contextmanager
def _translated() -> Iterator[None]:
    """A disk that is full, broken or closed to us becomes EngineUnavailable."""
    try:
        yield
    except OSError as error:
        logger.warning("The storage folder does not work: %s", error.strerror)
        raise EngineUnavailable("The storage does not work. Try again.", retry_after_seconds=5.0) from error
