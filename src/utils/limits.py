"""Limits of each caller in this process's memory: requests in a moving minute, and requests at the same time."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from src.domain.accounts import Quota


class WindowCounter:
    """Implements RateCounter behind a storage of the library `limits`; None: in this process's memory."""

    def __init__(self, storage: Storage | None = None) -> None:
        self._limiter = MovingWindowRateLimiter(storage or MemoryStorage())

    async def hit(self, policy: str, per_minute: int, key: str) -> Quota:
        """Raises what the storage raises."""
        item = RateLimitItemPerMinute(per_minute, namespace=policy)
        allowed = await self._limiter.hit(item, key)
        stats = await self._limiter.get_window_stats(item, key)
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        return Quota(allowed, per_minute, max(0, stats.remaining), reset)


class LocalSlots:
    """Implements domain.accounts.Slots for one process."""

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
