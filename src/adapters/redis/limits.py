"""Limits and slots of callers for all processes; while Redis is away, a share of them for each."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import cast
from uuid import uuid4

from limits.aio.storage import RedisStorage

from src.adapters.redis.link import PREFIX, RedisDown, RedisLink
from src.domain.accounts import Quota
from src.utils.limits import LocalSlots, WindowCounter


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


_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2])))
return 1
"""
"""The members are the requests in work, their scores the times, on Redis's clock, when those are taken for dead."""


class RedisSlots:
    """Implements domain.accounts.Slots: exact over every process that uses this Redis.

    A slot whose process died is free again after `longest_seconds`, which no request may hold one. While Redis is away
    each process counts what it has in work itself, to `fallback_share` of the limit and at least to one.
    """

    def __init__(self, link: RedisLink, fallback_share: float, longest_seconds: float) -> None:
        self._link = link
        self._share = fallback_share
        self._longest_seconds = longest_seconds
        self._local = LocalSlots()

    @asynccontextmanager
    async def held(self, key: str, most: int) -> AsyncIterator[bool]:
        name, slot = f"{PREFIX}:slots:{key}", uuid4().hex
        with self._local.counted(key) as here:
            try:
                try:
                    async with self._link.use() as redis:
                        answer = redis.eval(_TAKE, 1, name, str(most), str(self._longest_seconds), slot)
                        taken = bool(await cast("Awaitable[int]", answer))
                except RedisDown:  # it may have been taken all the same
                    taken = here <= max(1, int(most * self._share))
                yield taken
            finally:
                with suppress(RedisDown):
                    async with self._link.use() as redis:
                        await redis.zrem(name, slot)
