"""A bounded cache in memory, alone or before another one."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TLRUCache

from src.domain.ports import Cache

_FRONT_SECONDS = 60.0

_Key = tuple[str, str]
"""The owner, and the key."""


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    ttl_seconds: float
    size: int  # bytes of key, owner and value


def _expires_at(_key: _Key, entry: _Entry, now: float) -> float:
    return now + entry.ttl_seconds


class MemoryCache:
    """Implements Cache for one event loop: at most `max_bytes` of keys and values; the least recently used go first.

    A value that alone is larger is not kept. `clock` counts seconds.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: TLRUCache[_Key, _Entry] = TLRUCache(
            max_bytes, _expires_at, timer=clock, getsizeof=lambda entry: entry.size
        )

    async def get(self, key: str, owner: str = "") -> bytes | None:
        """None: never set, expired, or pushed out."""
        entry = self._entries.get((owner, key))
        return None if entry is None else entry.value

    async def set(self, key: str, value: bytes, ttl_seconds: float, owner: str = "") -> None:
        await self.delete(key, owner)
        size = len(key.encode()) + len(owner.encode(errors="replace")) + len(value)
        if size <= self._entries.maxsize and ttl_seconds > 0:
            self._entries[owner, key] = _Entry(value, ttl_seconds, size)

    async def delete(self, key: str, owner: str = "") -> None:
        self._entries.pop((owner, key), None)

    async def forget(self, owner: str) -> None:
        await self.forget_here(owner)

    async def forget_here(self, owner: str | None = None) -> None:
        """As `forget`; None: everything."""
        for name in [name for name in self._entries if owner in (None, name[0])]:
            self._entries.pop(name, None)


class Cached:
    """Implements Cache: what this process wrote, or read in the last minute, and behind it what all of them share.

    `front` alone serves while `back` is away. It does not learn of another process's deletions by itself: those who
    watch for them call `forget_here`.
    """

    def __init__(self, front: MemoryCache, back: Cache) -> None:
        self._front = front
        self._back = back

    async def get(self, key: str, owner: str = "") -> bytes | None:
        if (value := await self._front.get(key, owner)) is not None:
            return value
        if (value := await self._back.get(key, owner)) is not None:
            await self._front.set(key, value, _FRONT_SECONDS, owner)
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float, owner: str = "") -> None:
        await self._front.set(key, value, ttl_seconds, owner)
        await self._back.set(key, value, ttl_seconds, owner)

    async def delete(self, key: str, owner: str = "") -> None:
        await self._front.delete(key, owner)
        await self._back.delete(key, owner)

    async def forget(self, owner: str) -> None:
        await self._front.forget_here(owner)
        await self._back.forget(owner)

    async def forget_here(self, owner: str | None = None) -> None:
        await self._front.forget_here(owner)
