"""Closing the road to Redis ends its tasks, also when the client loses their cancellation."""

import asyncio

from redis.exceptions import ConnectionError as RedisConnectionError

from src.adapters.redis.link import RedisLink


async def test_a_cancellation_that_the_client_swallows_does_not_keep_the_link_open() -> None:
    link = RedisLink("redis://127.0.0.1:1/0", timeout_seconds=5.0, watch_seconds=0.01)
    probing = asyncio.Event()

    async def swallowing(*_: object, **__: object) -> None:
        probing.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RedisConnectionError from None

    await link.start()
    link._prober.set = swallowing  # type: ignore[method-assign]
    await probing.wait()
    async with asyncio.timeout(60):
        await link.close()
