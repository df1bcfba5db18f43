"""Revocations on a real Redis before their truth: known to all at once, and never forgotten for longer than is said."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.engine import Database
from src.adapters.redis.link import RedisLink
from src.adapters.redis.sessions import SessionCache
from src.domain.errors import EngineUnavailable
from src.domain.identity import Revocation
from src.domain.jobs import now
from tests.fakes.fake_stores import MemoryRevocations
from tests.integration.redis.test_redis_link import linked
from tests.servers.proxy import Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.support.waiting import until

LATER = now() + timedelta(days=1)
SUBJECTS = ["user:ann", "token:t-1"]


def revocation(subject: str = "token:t-1", issued_until: datetime | None = None) -> Revocation:
    return Revocation(subject, issued_until or datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), LATER)


@asynccontextmanager
async def two_caches(
    server: RedisServer, truth: MemoryRevocations, shared_seconds: float = 30.0, local_seconds: float = 0.0
) -> AsyncIterator[tuple[SessionCache, SessionCache, RedisLink]]:
    """Of two processes, and the first one's way to Redis."""
    async with linked(server.url) as one, linked(server.url) as other:
        first, second = (
            SessionCache(truth, link, shared_seconds=shared_seconds, local_seconds=local_seconds)
            for link in (one, other)
        )
        yield first, second, one


async def test_the_truth_is_asked_once_by_all_processes(redis_server: RedisServer) -> None:
    truth = MemoryRevocations({"user:ann": revocation("user:ann")})
    async with two_caches(redis_server, truth) as (one, other, _):
        for cache in (one, other, one):
            assert await cache.of(SUBJECTS) == [revocation("user:ann")]
        assert truth.asked == 1
        assert await other.of(["user:bob"]) == []
        assert truth.asked == 2


async def test_a_revocation_reaches_every_process_at_once(redis_server: RedisServer) -> None:
    async with two_caches(redis_server, MemoryRevocations(), local_seconds=60.0) as (one, other, _):
        assert await one.of(SUBJECTS) == await other.of(SUBJECTS) == []
        await one.add(revocation())
        assert await other.of(SUBJECTS) == [revocation()]
        later = revocation(issued_until=datetime(2026, 3, 2, tzinfo=UTC))
        await other.add(later)
        assert await one.of(SUBJECTS) == [later]


async def test_what_was_read_before_a_revocation_does_not_hide_it(redis_server: RedisServer) -> None:
    class SlowRevocations(MemoryRevocations):
        async def of(self, subjects: Sequence[str]) -> list[Revocation]:
            found = await super().of(subjects)
            reading.set()
            await added.wait()
            return found

    reading, added = asyncio.Event(), asyncio.Event()
    truth = SlowRevocations({"user:ann": revocation("user:ann")})
    async with two_caches(redis_server, truth) as (one, other, _):
        asking = asyncio.create_task(one.of(SUBJECTS))
        await reading.wait()
        newer = [revocation("user:ann", datetime(2026, 3, 2, tzinfo=UTC)), revocation()]
        for each in newer:
            await other.add(each)
        added.set()
        assert await asking == [revocation("user:ann")]  # it began before
        assert await one.of(SUBJECTS) == await other.of(SUBJECTS) == newer


async def test_a_revocation_that_did_not_reach_redis_holds_when_the_entry_expires(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    truth = MemoryRevocations({"user:ann": revocation("user:ann")})
    with FaultyProxy(redis_server.port) as proxy:
        async with (
            linked(redis_server.url) as link,
            linked(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=0.2) as cut_off,
        ):
            service = SessionCache(truth, link, shared_seconds=0.5)
            operator = SessionCache(truth, cut_off, shared_seconds=0.5)
            assert await service.of(SUBJECTS) == [revocation("user:ann")]
            proxy.fault = Fault(blackhole=True)
            newer = [revocation("user:ann", datetime(2026, 3, 2, tzinfo=UTC)), revocation()]
            for each in newer:
                await operator.add(each)
            assert "did not reach Redis" in caplog.text
            await asyncio.sleep(0.6)
            assert await service.of(SUBJECTS) == newer


async def test_without_redis_the_truth_is_asked_and_remembered_for_a_moment(redis_server: RedisServer) -> None:
    truth = MemoryRevocations()
    async with two_caches(redis_server, truth, local_seconds=60) as (one, _, _):
        await asyncio.to_thread(redis_server.stop)
        for _ in range(3):
            assert await one.of(SUBJECTS) == []
        assert truth.asked == 1


@pytest.mark.parametrize("with_redis", [True, False])
async def test_without_redis_a_revocation_by_another_process_holds_after_that_moment(
    redis_server: RedisServer, with_redis: bool
) -> None:
    truth = MemoryRevocations()
    async with two_caches(redis_server, truth, local_seconds=0.2) as (one, other, link):
        if with_redis:
            await asyncio.to_thread(redis_server.stop)
        cache = one if with_redis else SessionCache(truth, None, local_seconds=0.2)
        assert await cache.of(SUBJECTS) == []
        await other.add(revocation())
        await asyncio.sleep(0.3)
        assert await cache.of(SUBJECTS) == [revocation()]
        if with_redis:
            await asyncio.to_thread(redis_server.start)
            await until(lambda: link.up)
            assert await cache.of(SUBJECTS) == [revocation()]


async def test_a_flushed_or_meddled_with_redis_lets_nobody_in(redis_server: RedisServer) -> None:
    truth = MemoryRevocations()
    async with two_caches(redis_server, truth) as (one, other, _):
        await one.add(revocation())
        await asyncio.to_thread(redis_server.flush_all)
        assert await other.of(SUBJECTS) == [revocation()]
        with redis_server.client() as redis:
            for name in redis.scan_iter("voice-translation:sessions:*"):
                redis.set(name, b"nonsense", ex=60)
        assert await other.of(SUBJECTS) == [revocation()]


async def test_without_redis_and_database_a_token_is_answered_with_unavailable(redis_server: RedisServer) -> None:
    truth = MemoryRevocations()
    async with two_caches(redis_server, truth) as (one, _, link):
        assert await one.of(SUBJECTS) == []
        truth.error = EngineUnavailable("no database")
        assert await one.of(SUBJECTS) == []  # Redis knows
        with pytest.raises(EngineUnavailable):
            await one.of(["user:bob"])
        await asyncio.to_thread(redis_server.stop)
        with pytest.raises(EngineUnavailable):
            await one.of(SUBJECTS)
        assert not link.up


async def test_entries_name_nobody_have_a_prefix_and_end(redis_server: RedisServer) -> None:
    async with two_caches(redis_server, MemoryRevocations()) as (one, _, _):
        await one.add(revocation())
        await one.of(SUBJECTS)
        with redis_server.client() as redis:
            names = [name.decode() for name in redis.scan_iter("*sessions*")]
        assert len(names) == 2
        for name in names:
            assert name.startswith("voice-translation:sessions:")
            assert "ann" not in name
            assert 0 < redis_server.milliseconds_left(name) <= 30_000


# --- the truth


async def test_the_database_keeps_the_later_revocation_of_a_subject(database: Database) -> None:
    kept = SqlRevocations(database)
    newer = revocation(issued_until=datetime(2026, 3, 2, tzinfo=UTC))
    for each in (revocation("user:ann"), revocation(), newer, newer, revocation()):
        await kept.add(each)
    assert sorted(await kept.of([*SUBJECTS, "user:bob"]), key=str) == [newer, revocation("user:ann")]
    assert await kept.of(["user:bob"]) == []


async def test_the_database_forgets_revocations_whose_tokens_have_expired(database: Database) -> None:
    kept = SqlRevocations(database)
    old = Revocation("user:ann", now() - timedelta(days=2), now() - timedelta(seconds=1))
    await kept.add(old)
    await kept.add(revocation())
    assert await kept.of(SUBJECTS) == [revocation()]
