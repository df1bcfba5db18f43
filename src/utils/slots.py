"""Slots of each caller, in this process's memory."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class LocalSlots:
    """Implements domain.rates.Slots for one process."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def held(self, key: str, most: int) -> AsyncIterator[bool]:
        if self._held[key] >= most:
            yield False
            return
        with self.counted(key):
            yield True

    @contextmanager
    def counted(self, key: str) -> Iterator[int]:
        """Take a slot, whatever the limit: how many of `key` are taken now, this one included."""
        self._held[key] += 1
        try:
            yield self._held[key]
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
