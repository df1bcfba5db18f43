"""Values that all processes share for a while."""

from src.adapters.redis_link import PREFIX, RedisDown, RedisLink

MAX_VALUE_BYTES = 2 * 2**20
"""A voice that XTTS learned takes 140 KB; what is larger than this would take a good part of the deadline to send."""


class RedisCache:
    """Implements Cache. While Redis is away everything is a miss, and nothing is kept."""

    def __init__(self, link: RedisLink, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self._link = link
        self._max_value_bytes = max_value_bytes

    async def get(self, key: str) -> bytes | None:
        try:
            async with self._link.use() as redis:
                value: bytes | None = await redis.get(_name(key))
        except RedisDown:
            return None
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """A value of more than `max_value_bytes` is not kept."""
        milliseconds = round(ttl_seconds * 1000)
        if len(value) > self._max_value_bytes or milliseconds <= 0:
            await self.delete(key)
            return
        try:
            async with self._link.use() as redis:
                await redis.set(_name(key), value, px=milliseconds)
        except RedisDown:
            return

    async def delete(self, key: str) -> None:
        """A deletion that falls into Redis's absence is lost; the value then ends with its time."""
        try:
            async with self._link.use() as redis:
                await redis.unlink(_name(key))
        except RedisDown:
            return


def _name(key: str) -> str:
    return f"{PREFIX}:cache:{key}"
