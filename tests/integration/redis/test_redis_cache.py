"""The cache that processes share, on a real Redis."""

import asyncio
import time

import pytest

from src.adapters.redis.cache import RedisCache
from src.domain.errors import EngineUnavailable
from src.domain.ports import Cache
from src.services.translation import TextTranslation
from src.utils.cache import Cached, MemoryCache
from tests.fakes.fakes import FakeTranslator
from tests.integration.redis.test_redis_link import linked
from tests.servers.proxy import Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.support.waiting import until


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
            assert time.perf_counter() - began < 30  # two deadlines of a second, and not two for each sentence
            assert second.calls == 1


async def test_values_of_one_owner_are_separate_and_forgotten_together(
    redis_server: RedisServer,
) -> None:
    async with linked(redis_server.url, timeout_seconds=2.0) as link:
        cache = RedisCache(link)
        for number in range(600):  # more than are dropped at once
            await cache.set(f"voice:{number}", b"the voice of ann", 60, "ann")
        await cache.set("voice:1", b"the voice of eve", 60, "eve")
        assert [await cache.get("voice:1", owner) for owner in ("eve", "")] == [b"the voice of eve", None]
        await cache.forget("ann")
        assert await cache.get("voice:1", "ann") is None
        assert await cache.get("voice:1", "eve") == b"the voice of eve"
        with redis_server.client() as redis:
            values = set(redis.scan_iter("*:cache*"))  # it may name a key twice
            assert len(values) == 2, "eve's value, and the list of what is eve's"


async def test_the_list_of_an_owners_values_lives_as_long_as_the_last_of_them(redis_server: RedisServer) -> None:
    async with linked(redis_server.url, timeout_seconds=2.0) as link:
        cache = RedisCache(link)
        await cache.set("long", b"1", 60, "ann")
        await cache.set("short", b"1", 0.05, "ann")
        with redis_server.client() as redis:
            (listed,) = redis.scan_iter("*:cached-of:*")
            assert 50_000 < redis_server.milliseconds_left(listed.decode()) <= 60_000
            await asyncio.sleep(0.1)
            await cache.set("last", b"1", 1, "ann")
            assert redis.zcard(listed) == 2, "what has ended is not listed any more"


async def test_forgetting_says_so_when_redis_cannot_be_told(redis_server: RedisServer) -> None:
    async with linked(redis_server.url, timeout_seconds=2.0) as link:
        cache = RedisCache(link)
        await cache.set("a", b"1", 60, "ann")
        await asyncio.to_thread(redis_server.stop)
        with pytest.raises(EngineUnavailable):
            await cache.forget("ann")


async def test_another_processes_memory_forgets_when_it_is_told(redis_server: RedisServer) -> None:
    async with (
        linked(redis_server.url, timeout_seconds=2.0) as one,
        linked(redis_server.url, timeout_seconds=2.0) as other,
    ):
        here, there = Cached(MemoryCache(1000), RedisCache(one)), Cached(MemoryCache(1000), RedisCache(other))
        await here.set("a", b"1", 60, "ann")
        assert await there.get("a", "ann") == b"1"
        await here.forget("ann")
        assert await there.get("a", "ann") == b"1", "it was not told"
        await there.forget_here("ann")
        assert await there.get("a", "ann") is None
