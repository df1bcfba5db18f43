"""Client secrets of several processes, over a real Redis: one opens one session, wherever it comes."""

import asyncio

from src.adapters.redis.cache import RedisCache
from src.adapters.redis.limits import RedisCounter
from src.adapters.redis.link import RedisLink
from src.domain.errors import Unauthenticated
from src.domain.identity import Identity
from src.services.live.secrets import ClientSecrets, Opening
from src.utils.cache import Cached, MemoryCache
from tests.integration.redis.test_redis_link import linked
from tests.servers.redis import RedisServer

OPENING = Opening(Identity("ann"), "sess_1", {"audio": {}})


def process(link: RedisLink) -> ClientSecrets:
    return ClientSecrets(Cached(MemoryCache(100_000), RedisCache(link)), RedisCounter(link, 0.25))


async def test_the_first_of_all_processes_opens_a_session_and_no_other(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as one, linked(redis_server.url) as other:
        maker, reader = process(one), process(other)
        secret, _ = await maker.issue(OPENING, 60)
        asked = [each.redeem(secret) for each in (maker, reader) * 10]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers].count(Opening) == 1
        assert [type(answer) for answer in answers].count(Unauthenticated) == 19


async def test_no_secret_stands_in_a_key_or_value(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        secret, _ = await process(link).issue(OPENING, 60)
        with redis_server.client() as redis:
            (name,) = redis.scan_iter("*:cache:*")
            assert secret not in f"{name!r} {redis.get(name)!r}"
