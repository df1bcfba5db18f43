"""The cache that processes share, on a real Redis."""

import asyncio
import time

from src.adapters.cache.redis_cache import RedisCache
from src.domain.ports import Cache
from src.services.translation import TextTranslation
from src.utils.cache import Cached, MemoryCache
from tests.fakes import FakeTranslator
from tests.integration.test_redis_link import linked
from tests.servers.proxy import Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.servers.waiting import until


async def test_what_one_process_sets_another_gets_until_it_is_deleted(redis_server: RedisServer) -> None:
    value = bytes(range(256)) * 500
    async with linked(redis_server.url) as one, linked(redis_server.url) as other:
        writer: Cache = RedisCache(one)
        reader: Cache = RedisCache(other)
        assert await reader.get("a") is None
        await writer.set("a", value, 60)
        assert await reader.get("a") == value
        await writer.delete("a")
        assert await reader.get("a") is None


async def test_every_key_has_the_prefix_and_a_time_to_live(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        await RedisCache(link).set("translation:x", b"1", 60)
        await RedisCache(link).set("voice:y", b"1", 0.05)
        with redis_server.client() as redis:
            assert all(name.startswith(b"voice-translation:") for name in redis.scan_iter())
            assert 0 < redis_server.milliseconds_left("voice-translation:cache:translation:x") <= 60_000
            await until(lambda: not redis.exists("voice-translation:cache:voice:y"))


async def test_a_value_that_is_too_large_is_not_kept_nor_the_one_before_it(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        cache = RedisCache(link, max_value_bytes=10)
        await cache.set("a", b"x" * 10, 60)
        assert await cache.get("a") == b"x" * 10
        await cache.set("a", b"x" * 11, 60)
        assert await cache.get("a") is None


async def test_without_redis_everything_is_a_miss_and_after_it_works_again(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        cache = RedisCache(link)
        await cache.set("a", b"1", 60)
        await asyncio.to_thread(redis_server.stop)
        assert await cache.get("a") is None
        await cache.set("b", b"1", 60)
        await cache.delete("b")
        await asyncio.to_thread(redis_server.start)
        await until(lambda: link.up)
        assert await cache.get("a") is None  # this Redis keeps nothing on disk
        await cache.set("c", b"1", 60)
        assert await cache.get("c") == b"1"


async def test_the_memory_in_front_serves_while_redis_is_away(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as one, linked(redis_server.url) as other:
        writer = Cached(MemoryCache(1000), RedisCache(one))
        reader = Cached(MemoryCache(1000), RedisCache(other))
        await writer.set("a", b"1", 60)
        await writer.set("b", b"1", 60)
        assert await reader.get("a") == b"1"
        await asyncio.to_thread(redis_server.flush_all)
        assert await writer.get("b") == b"1"
        assert await reader.get("a") == b"1"
        assert await reader.get("b") is None
        await asyncio.to_thread(redis_server.stop)
        assert await reader.get("a") == b"1"
        await reader.delete("a")
        assert await reader.get("a") is None


async def test_translations_are_shared_and_a_silent_redis_only_makes_them_slower(redis_server: RedisServer) -> None:
    texts = tuple(f"Sentence {number}." for number in range(30))
    first, second = FakeTranslator(), FakeTranslator()
    with FaultyProxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with linked(url, timeout_seconds=1.0) as one, linked(url, timeout_seconds=1.0) as other:
            said = await TextTranslation((first,), RedisCache(one)).translate(texts, "en", "es")
            translating = TextTranslation((second,), RedisCache(other))
            assert (await translating.translate(texts, "en", "es")).texts == said.texts
            assert (first.calls, second.calls) == (1, 0)
            proxy.fault = Fault(blackhole=True)
            began = time.perf_counter()
            assert (await translating.translate(texts, "en", "es")).texts == said.texts
            assert time.perf_counter() - began < 8  # two deadlines at most, and not two for each sentence
            assert second.calls == 1
