"""Settings to what the processes of one service share: through Redis, or, without REDIS_URL, each alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from src.adapters.cache.redis_cache import RedisCache
from src.adapters.limits.redis_counter import RedisCounter
from src.adapters.redis_link import RedisLink
from src.config.settings import Settings
from src.domain.ports import Cache, RateCounter
from src.utils.cache import Cached, MemoryCache
from src.utils.rate_counter import WindowCounter


@dataclass(frozen=True, slots=True)
class SharedState:
    """None of it is the truth: without Redis the service goes on, slower."""

    cache: Cache
    counter: RateCounter
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
            yield
        finally:
            await self.link.close()


def build_shared_state(settings: Settings) -> SharedState:
    """Connects to nothing yet."""
    memory = MemoryCache(settings.cache_max_bytes)
    if settings.redis_url is None:
        return SharedState(memory, WindowCounter())
    link = RedisLink(settings.redis_url.get_secret_value(), settings.redis_timeout_seconds)
    counter = RedisCounter(link, settings.rate_limit_fallback_share)
    return SharedState(Cached(memory, RedisCache(link)), counter, link)
