"""Storage in a bucket of Amazon S3, or of any server that speaks its protocol."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from src.adapters.storage.private_files import checked
from src.adapters.storage.s3_addresses import Addresses, presigned
from src.adapters.storage.s3_calls import S3Calls, S3Options
from src.adapters.storage.s3_lifecycle import put_rules
from src.adapters.storage.s3_objects import PART_BYTES, Bucket, Part, Replaced
from src.domain.errors import DamagedFile, EngineUnavailable, NotFound, VoiceServiceError

logger = logging.getLogger(__name__)


class S3Storage:
    """Implements Storage. Keys are as `is_key` says, below `options.prefix`.

    Every object carries the SHA-256 of its whole content in its metadata; what is read and does not match it is asked
    for again, and then raises DamagedFile. A file is there as a whole or not at all. A write that was given up at its
    deadline may still happen afterwards: what it leaves is erased by the service's sweeps and the bucket's lifecycle.
    """

    def __init__(self, options: S3Options, url_ttl_seconds: int, addresses: Addresses | None = None) -> None:
        """`addresses` None: signed addresses of the bucket itself, which hold for `url_ttl_seconds`."""
        self._options = options
        self._prefix = f"{options.prefix}/" if options.prefix else ""
        self._calls = S3Calls(options)
        self._url_ttl_seconds = url_ttl_seconds
        self._addresses = addresses
        self._client: Any = None
        self._bucket = Bucket(None, options)

    async def start(self) -> None:
        """Raises EngineUnavailable, DeadlineExceeded: no credentials, no such bucket, no answer."""
        self._client, signer = await self._calls.start()
        self._bucket = Bucket(self._client, self._options)
        self._addresses = self._addresses or presigned(signer, self._options.bucket, self._url_ttl_seconds)
        await self.ping()
        await self._calls.run("look for versions", self._bucket.versions.look)

    async def close(self) -> None:
        await self._calls.close()

    async def ping(self) -> None:
        """Raises EngineUnavailable, DeadlineExceeded."""
        try:
            await self._calls.run("ping", self._bucket.ping)
        except NotFound:
            raise EngineUnavailable("The storage has no such bucket: create it, or correct S3_BUCKET.") from None

    async def put_lifecycle(self, days: Mapping[str, int | None]) -> None:
        """Have the bucket erase files below these prefixes after as many days, and old versions of them. A bucket that
        refuses is left as it is, with a line in the log.
        """
        where = self._options.bucket, self._options.prefix
        try:
            changed = await self._calls.run("lifecycle", put_rules, self._client, *where, days)
        except VoiceServiceError as error:
            logger.warning("The bucket's lifecycle rules were not set; set them by hand. %s", error.detail)
        else:
            logger.info("The bucket's lifecycle rules were %s.", "set" if changed else "as they should be")

    async def put(self, key: str, data: bytes) -> None:
        """Raises EngineUnavailable, DeadlineExceeded. A cancelled put ends when its call has ended."""
        name = self._name(key)
        if len(data) <= PART_BYTES:
            await self._calls.run("put", self._bucket.put, name, data, uninterrupted=True)
        else:
            digest = await asyncio.to_thread(hashlib.sha256, data)
            await self._put_parts(name, digest.hexdigest(), len(data), lambda start: data[start : start + PART_BYTES])

    async def upload(self, key: str, path: Path) -> None:
        """A file of any size, read in parts: models and backups. Raises as `put`, and OSError."""
        name = self._name(key)
        size = (await asyncio.to_thread(path.stat)).st_size
        await self._put_parts(name, await asyncio.to_thread(_hash_of, path), size, lambda start: _read(path, start))

    async def get(self, key: str) -> bytes:
        """Raises NotFound, DamagedFile, EngineUnavailable, DeadlineExceeded."""
        return (await self.read_version(key))[0]

    async def read_version(self, key: str) -> tuple[bytes, str]:
        """What is there, and its ETag, for `replace`. Raises as `get`."""
        name = self._name(key)
        for attempt in range(1, self._options.attempts + 1):
            try:
                parts = [part async for part in self._parts(name)]
            except Replaced:
                logger.info("a stored file was replaced while it was read (attempt %d)", attempt)
                if attempt == self._options.attempts:
                    raise _replaced() from None
                continue
            data = parts[0].data if len(parts) == 1 else b"".join(part.data for part in parts)
            digest = await asyncio.to_thread(hashlib.sha256, data)
            if digest.hexdigest() == parts[0].sha256:
                return data, parts[0].etag
            logger.error("a stored file does not have its checksum (attempt %d)", attempt)
        raise _damaged()

    async def replace(self, key: str, data: bytes, version: str) -> bool:
        """Put `data` in the place of that file, in one call. False, and nothing happens: it was deleted or written
        again meanwhile. Raises EngineUnavailable, DeadlineExceeded.
        """
        try:
            await self._calls.run("replace", self._bucket.put, self._name(key), data, version, uninterrupted=True)
        except (NotFound, Replaced):
            return False
        return True

    async def download(self, key: str, path: Path) -> None:
        """What `upload` stored, to `path`; nothing is left there when it fails. Raises as `get`, and OSError."""
        name, partial, digest = self._name(key), path.with_name(f".{path.name}.partial"), hashlib.sha256()
        sha256 = ""
        try:
            with partial.open("wb") as file:
                async for part in self._parts(name):
                    sha256 = part.sha256
                    await asyncio.to_thread(file.write, part.data)
                    await asyncio.to_thread(digest.update, part.data)
            if digest.hexdigest() != sha256:
                raise _damaged()
            await asyncio.to_thread(partial.replace, path)
        except Replaced:
            raise _replaced() from None
        finally:
            partial.unlink(missing_ok=True)

    async def delete(self, key: str) -> None:
        """With its older versions; nothing happens when it is not there. Raises EngineUnavailable, DeadlineExceeded."""
        name = self._name(key)
        await self._delete_versions(name, float("inf"), name)
        if not self._bucket.versions.kept:
            await self._calls.run("delete", self._bucket.delete, name, uninterrupted=True)

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int:
        """Times are the store's, and this machine's clock. Raises EngineUnavailable, DeadlineExceeded."""
        written_before = _before(older_than_seconds)
        by_version, removed = self._bucket.versions.kept, 0
        async for page in self._pages(prefix):
            names = [item["Key"] for item in page if item["LastModified"].timestamp() <= written_before]
            if names and not by_version:
                await self._calls.run("delete", self._bucket.delete_all, names, uninterrupted=True)
            removed += len(names)
        await self._delete_versions(f"{self._name(prefix)}/", written_before)
        if by_version and not self._bucket.versions.kept:  # it was refused: once more, without
            await self.delete_under(prefix, older_than_seconds)
        return removed

    async def erase(self, path: str) -> None:
        """As `delete`, or as `delete_under` for a path that ends in `/`; and uploads there that were not completed."""
        name = self._name(path.removesuffix("/")) + ("/" if path.endswith("/") else "")
        await self._calls.run("abort uploads", self._bucket.versions.abort_uploads, name)
        if path.endswith("/"):
            await self.delete_under(path[:-1])
        else:
            await self.delete(path)

    async def pages_under(self, prefix: str, older_than_seconds: float = 0.0) -> AsyncIterator[list[str]]:
        written_before = _before(older_than_seconds)
        async for page in self._pages(prefix):
            old = [item["Key"] for item in page if item["LastModified"].timestamp() <= written_before]
            yield [name.removeprefix(self._prefix) for name in old]

    def notices(self) -> tuple[str, ...]:
        """What is not erased as it should be."""
        notice = self._bucket.versions.notice
        return () if notice is None else (notice,)

    async def sizes_under(self, prefix: str) -> dict[str, int]:
        """The keys of everything under `prefix/`, each with its bytes. Raises EngineUnavailable, DeadlineExceeded."""
        return {
            item["Key"].removeprefix(self._prefix): item["Size"] async for page in self._pages(prefix) for item in page
        }

    def url(self, key: str) -> str:
        """An absolute address: of the bucket, or of the CDN before it."""
        if self._addresses is None:
            raise RuntimeError("addresses are made after the start")
        return self._addresses(self._name(key))

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        """This server serves no audio itself: always NotFound."""
        raise NotFound("There is no such file here: the audio is at the address in `audio_url`.")

    def _name(self, key: str) -> str:
        return f"{self._prefix}{checked(key)}"

    async def _delete_versions(self, prefix: str, written_before: float, name: str | None = None) -> None:
        """Of keys that begin with `prefix`, or of `name` alone; nothing happens where the bucket keeps none. After a
        page of which some were deleted it is asked for again: not all servers go on after what is not there any more.
        """
        versions = self._bucket.versions
        marker: dict[str, str] = {}
        while versions.kept:
            page, following = await self._calls.run("list versions", versions.page, prefix, marker, written_before)
            if wanted := [version for version in page if name in (None, version["Key"])]:
                await self._calls.run("delete versions", versions.delete, wanted, uninterrupted=True)
            elif following is not None:
                marker = following
            if following is None:
                return

    async def _pages(self, prefix: str) -> AsyncIterator[list[dict[str, Any]]]:
        """What lies under `prefix/`, page by page; the caller may delete a page before it takes the next."""
        folder, after = f"{self._name(prefix)}/", ""
        while True:
            page = await self._calls.run("list", self._bucket.list_page, folder, after)
            yield page
            if len(page) < self._options.page_keys:
                return
            after = page[-1]["Key"]

    async def _parts(self, name: str) -> AsyncIterator[Part]:
        """All of an object, in parts of one version. Raises NotFound, Replaced, EngineUnavailable, DeadlineExceeded."""
        part = first = await self._calls.run("get", self._bucket.read_part, name, 0, None)
        read = len(first.data)
        yield first
        while read < first.total:
            part = await self._calls.run("get", self._bucket.read_part, name, read, first.etag)
            read += len(part.data)
            yield part

    async def _put_parts(self, name: str, sha256: str, size: int, part: Callable[[int], bytes]) -> None:
        """`part(start)` gives the bytes from there on. The object appears when all parts are there."""
        upload = await self._begin(name, sha256)
        done: list[dict[str, Any]] = []
        try:
            for number, start in enumerate(range(0, max(1, size), PART_BYTES), 1):
                data = await asyncio.to_thread(part, start)
                done.append(
                    await self._calls.run(
                        "upload part", self._bucket.put_part, upload, number, data, uninterrupted=True
                    )
                )
            await self._calls.run("complete upload", self._bucket.complete_upload, upload, done, uninterrupted=True)
        except BaseException:
            await self._abort(upload)
            raise

    async def _begin(self, name: str, sha256: str) -> dict[str, str]:
        """Cancelled, it leaves no upload that nobody knows of."""
        begun = asyncio.create_task(self._calls.run("begin upload", self._bucket.begin_upload, name, sha256))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            with suppress(VoiceServiceError):
                await self._abort(await begun)
            raise

    async def _abort(self, upload: Mapping[str, str]) -> None:
        """Have the store forget the parts. Where that fails, the lifecycle rule does it a day later."""
        try:
            await self._calls.run("abort upload", self._bucket.abort_upload, upload)
        except VoiceServiceError as error:
            logger.warning("parts of an upload are left in the bucket. %s", error.detail)


def _before(seconds_ago: float) -> float:
    """Unix seconds; for 0 also what was written by a clock that is ahead of ours."""
    return time.time() - seconds_ago if seconds_ago else float("inf")


def _replaced() -> EngineUnavailable:
    return EngineUnavailable("The stored file was replaced while it was read. Try again.")


def _damaged() -> DamagedFile:
    return DamagedFile("A stored file is damaged. The log has more.")


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(PART_BYTES)
