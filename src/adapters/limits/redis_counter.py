"""One limit for all processes; while Redis is away, a share of it for each."""

from limits.aio.storage import RedisStorage

from src.adapters.redis_link import PREFIX, RedisDown, RedisLink
from src.domain.accounts import Quota
from src.utils.limits import WindowCounter


class RedisCounter:
    """Implements RateCounter: exact over every process that uses this Redis.

    A hit costs two scripts in Redis; its list has at most as many entries as the limit, and expires with the window.
    The times in it are those of the processes' clocks. While Redis is away each process counts for itself, from zero,
    to `fallback_share` of the limit and at least to one.
    """

    def __init__(self, link: RedisLink, fallback_share: float) -> None:
        self._link = link
        self._share = fallback_share
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=f"{PREFIX}:rates",
            connection_pool=link.pool,  # type: ignore[arg-type]  # documented, and missing in the annotation
        )
        self._shared = WindowCounter(storage)
        self._local = WindowCounter()

    async def hit(self, policy: str, per_minute: int, key: str) -> Quota:
        try:
            async with self._link.use():
                return await self._shared.hit(policy, per_minute, key)
        except RedisDown:
            return await self._local.hit(policy, max(1, int(per_minute * self._share)), key)
