"""A bounded cache in memory, alone or before another one."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from src.domain.ports import Cache

_FRONT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    expires_at: float  # on the cache's clock
    size: int  # bytes of key and value


class MemoryCache:
    """Implements Cache for one event loop: at most `max_bytes` of keys and values; the least recently used go first.

    A value that alone is larger is not kept. `clock` counts seconds.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    async def get(self, key: str) -> bytes | None:
        """None: never set, expired, or pushed out."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        self._drop(key)
        entry = _Entry(value, self._clock() + ttl_seconds, len(key.encode()) + len(value))
        if entry.size > self._max_bytes or ttl_seconds <= 0:
            return
        while self._bytes + entry.size > self._max_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[key] = entry
        self._bytes += entry.size

    async def delete(self, key: str) -> None:
        self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size


class Cached:
    """Implements Cache: what this process wrote, or read in the last minute, and behind it what all of them share.

    `front` alone serves while `back` is away. It does not learn of another process's deletions: for keys that say what
    their value is made of, which are never wrong, only old.
    """

    def __init__(self, front: MemoryCache, back: Cache) -> None:
        self._front = front
        self._back = back

    async def get(self, key: str) -> bytes | None:
        if (value := await self._front.get(key)) is not None:
            return value
        if (value := await self._back.get(key)) is not None:
            await self._front.set(key, value, _FRONT_SECONDS)
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        await self._front.set(key, value, ttl_seconds)
        await self._back.set(key, value, ttl_seconds)

    async def delete(self, key: str) -> None:
        await self._front.delete(key)
        await self._back.delete(key)
