"""Cache, events and counts of limits: shared by processes through Redis, or without REDIS_URL each its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from src.adapters.cache.redis_cache import RedisCache
from src.adapters.events.in_process import InProcessJobEvents
from src.adapters.events.redis_events import RedisJobEvents
from src.adapters.limits.redis_counter import RedisCounter
from src.adapters.limits.redis_slots import RedisSlots
from src.adapters.redis_link import RedisLink
from src.api.middleware import BODY_TIMEOUT_SECONDS
from src.config.settings import Settings
from src.domain.accounts import Slots
from src.domain.ports import Cache, JobEvents, RateCounter
from src.utils.cache import Cached, MemoryCache
from src.utils.limits import LocalSlots, WindowCounter

_CACHE_BYTES = 64 * 2**20
"""Of translations and voices, in each process."""
_FALLBACK_SHARE = 0.25
"""Of the limits per minute and of concurrent requests, what each process allows while Redis is away: as one of four."""
_LOOK_SECONDS = 1.0
"""Processes without Redis may share a database all the same: how often they look whether another one ended a job."""

_MARGIN_SECONDS = 60.0
"""What a request may take beside the arriving of its body and the work."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """None of it is the truth: without Redis the service goes on, slower."""

    cache: Cache
    counter: RateCounter
    events: JobEvents
    slots: Slots
    link: RedisLink | None = None

    def notices(self) -> tuple[str, ...]:
        """What is less than it should be now."""
        return () if self.link is None else self.link.notices()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Redis need not be there at the start, nor stay."""
        if self.link is None:
            yield
            return
        try:
            await self.link.start()
            if isinstance(self.events, RedisJobEvents):
                await self.events.start()
            yield
        finally:
            if isinstance(self.events, RedisJobEvents):
                await self.events.close()
            await self.link.close()


def build_shared_state(settings: Settings) -> SharedState:
    """Connects to nothing yet."""
    memory = MemoryCache(_CACHE_BYTES)
    if settings.redis_url is None:
        return SharedState(memory, WindowCounter(), InProcessJobEvents(_LOOK_SECONDS), LocalSlots())
    link = RedisLink(settings.redis_url.get_secret_value())
    counter = RedisCounter(link, _FALLBACK_SHARE)
    longest = BODY_TIMEOUT_SECONDS + settings.sync_timeout_seconds + _MARGIN_SECONDS
    slots = RedisSlots(link, _FALLBACK_SHARE, longest)
    return SharedState(Cached(memory, RedisCache(link)), counter, RedisJobEvents(link), slots, link)
