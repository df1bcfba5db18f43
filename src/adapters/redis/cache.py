"""Values that all processes share for a while."""

import hashlib
import time

from redis.asyncio import Redis

from src.adapters.redis.link import PREFIX, RedisDown, RedisLink
from src.domain.errors import EngineUnavailable

MAX_VALUE_BYTES = 2 * 2**20
"""A voice that XTTS learned takes 140 KB; what is larger than this would take a good part of the deadline to send."""

_FORGOTTEN_AT_ONCE = 500
_RETRY_AFTER_SECONDS = 5.0


class RedisCache:
    """Implements Cache. While Redis is away everything is a miss, and nothing is kept.

    What an owner has is listed in a sorted set of its own, by the time at which it ends; a list lives as long as the
    last value in it. Reading a value is using its list, too: a Redis that is full drops what was not used for longest.
    """

    def __init__(self, link: RedisLink, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self._link = link
        self._max_value_bytes = max_value_bytes

    async def get(self, key: str, owner: str = "") -> bytes | None:
        try:
            async with self._link.use() as redis:
                if not owner:
                    alone: bytes | None = await redis.get(_name(key, owner))
                    return alone
                async with redis.pipeline(transaction=False) as pipeline:
                    pipeline.get(_name(key, owner))
                    pipeline.touch(_list_of(owner))
                    value: bytes | None = (await pipeline.execute())[0]
        except RedisDown:
            return None
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float, owner: str = "") -> None:
        """A value of more than `max_value_bytes` is not kept."""
        milliseconds = round(ttl_seconds * 1000)
        if len(value) > self._max_value_bytes or milliseconds <= 0:
            await self.delete(key, owner)
            return
        name = _name(key, owner)
        try:
            async with self._link.use() as redis:
                if not owner:
                    await redis.set(name, value, px=milliseconds)
                    return
                async with redis.pipeline(transaction=True) as pipeline:
                    listed, now = _list_of(owner), time.time()
                    pipeline.zadd(listed, {name: now + ttl_seconds})
                    pipeline.set(name, value, px=milliseconds)
                    pipeline.zremrangebyscore(listed, "-inf", now)
                    # the first of these for a new list, which has no end yet; the second for one that ends too early
                    pipeline.pexpire(listed, milliseconds, nx=True)
                    pipeline.pexpire(listed, milliseconds, gt=True)
                    await pipeline.execute()
        except RedisDown:
            return

    async def delete(self, key: str, owner: str = "") -> None:
        """A deletion that falls into Redis's absence is lost; the value then ends with its time."""
        try:
            async with self._link.use() as redis:
                await redis.unlink(_name(key, owner))
        except RedisDown:
            return

    async def forget(self, owner: str) -> None:
        """Raises EngineUnavailable while Redis is away."""
        try:
            async with self._link.use() as redis:
                names: list[bytes] = await redis.zrange(_list_of(owner), 0, -1)
            for start in range(0, len(names), _FORGOTTEN_AT_ONCE):
                async with self._link.use() as redis:
                    await _drop(redis, owner, names[start : start + _FORGOTTEN_AT_ONCE])
        except RedisDown:
            detail = "Redis does not serve, and may hold what is to be forgotten."
            raise EngineUnavailable(detail, retry_after_seconds=_RETRY_AFTER_SECONDS) from None

    async def forget_here(self, owner: str | None = None) -> None:
        """This process holds nothing itself."""


async def _drop(redis: Redis, owner: str, names: list[bytes]) -> None:
    """Not the whole list: something may have been added since it was read."""
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.unlink(*names)
        pipeline.zrem(_list_of(owner), *names)
        await pipeline.execute()


def _name(key: str, owner: str) -> str:
    return f"{PREFIX}:cache:{key}:of:{_tag(owner)}" if owner else f"{PREFIX}:cache:{key}"


def _list_of(owner: str) -> str:
    return f"{PREFIX}:cached-of:{_tag(owner)}"


def _tag(owner: str) -> str:
    """Hashed: a user's name may be an address, and keys are shown by many tools."""
    return hashlib.sha256(owner.encode(errors="replace")).hexdigest()[:32]
