"""Everything that is held about a user as one ZIP archive, made while it is sent: memory holds one file at a time."""

import asyncio
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime
from typing import Any

from src.domain.accounts import Holdings
from src.domain.errors import DamagedFile, NotFound, Overloaded
from src.domain.jobs import now
from src.domain.ports import Storage

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_RETRY_AFTER_SECONDS = 10.0


class _Outlet(io.RawIOBase):
    """What zipfile writes to; taken away a piece at a time."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class Export:
    """At most two are made at a time in this process; more are told to come again."""

    def __init__(self, holdings: Holdings, storage: Storage) -> None:
        self._holdings = holdings
        self._storage = storage
        self._running = 0

    async def start(self, user_id: str, *, audio: bool) -> AsyncIterator[bytes]:
        """The archive, in pieces. `audio`: with the files. Raises Overloaded, EngineUnavailable, before anything is
        sent.

        An error that comes later ends the archive before its directory: whoever opens it notices.
        """
        if self._running >= _AT_ONCE:
            raise Overloaded("Other exports are being made. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS)
        pieces = self._pieces(user_id, audio=audio)
        return _from(await anext(pieces), pieces)  # from its first piece on it counts as running

    async def _pieces(self, user_id: str, *, audio: bool) -> AsyncGenerator[bytes, None]:
        self._running += 1
        try:
            outlet = _Outlet()
            manifest: dict[str, Any] = {"user_id": user_id, "made_at": now().isoformat(), "rows": {}, "files": []}
            with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
                for table in self._holdings.tables:
                    # closed with this generator, before the archive: an entry that is open cannot be
                    async with aclosing(self._table(archive, outlet, table, user_id, manifest)) as pieces:
                        async for piece in pieces:
                            yield piece
                if audio:
                    async for piece in self._files(archive, outlet, user_id, manifest):
                        yield piece
                archive.writestr("manifest.json", json.dumps(manifest, indent=1))
            yield outlet.take()
        finally:
            self._running -= 1

    async def _table(
        self, archive: zipfile.ZipFile, outlet: _Outlet, table: str, user_id: str, manifest: dict[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """A JSON array, a row on each line."""
        count = 0
        with archive.open(f"rows/{table}.json", "w") as file:
            file.write(b"[")
            async for rows in self._holdings.rows(table, user_id):
                lines = [json.dumps(row, default=_as_json, ensure_ascii=False) for row in rows]
                await asyncio.to_thread(file.write, (",\n" if count else "\n").encode() + ",\n".join(lines).encode())
                count += len(rows)
                yield outlet.take()
            file.write(b"\n]\n")
        manifest["rows"][table] = count

    async def _files(
        self, archive: zipfile.ZipFile, outlet: _Outlet, user_id: str, manifest: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        """As they were sent, or as they are spoken; the audio is compressed already."""
        async for key in self._keys(user_id):
            try:
                data = await self._storage.get(key)
            except NotFound:  # a job's recording goes when it has ended, and others may go now
                continue
            except DamagedFile:
                manifest["files"].append({"path": key, "damaged": True})
                continue
            name = zipfile.ZipInfo(f"files/{key}", now().timetuple()[:6])
            await asyncio.to_thread(archive.writestr, name, data, zipfile.ZIP_STORED)
            digest = await asyncio.to_thread(hashlib.sha256, data)
            manifest["files"].append({"path": key, "bytes": len(data), "sha256": digest.hexdigest()})
            yield outlet.take()

    async def _keys(self, user_id: str) -> AsyncIterator[str]:
        async for paths in self._holdings.paths(user_id):
            for path in paths:
                if not path.endswith("/"):
                    yield path
                    continue
                async for keys in self._storage.pages_under(path[:-1]):
                    for key in keys:
                        yield key


async def _from(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
