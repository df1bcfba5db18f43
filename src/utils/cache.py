"""A bounded cache in memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


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
