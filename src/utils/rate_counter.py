"""Requests of a caller, counted in a moving window of a minute."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from src.domain.rates import Quota


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
