"""The road to a real Redis that restarts, falls silent, is slow, full or refuses the password."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from src.adapters.redis.link import RedisDown, RedisLink
from tests.servers.proxy import NO_FAULT, Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.support.waiting import until

PATIENT = 2.0  # seconds: for tests of what is answered, on a machine that does much else


@asynccontextmanager
async def linked(
    url: str, timeout_seconds: float = PATIENT, watch_seconds: float = 0.05, calm_seconds: float = 0.1
) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, timeout_seconds, watch_seconds=watch_seconds, calm_seconds=calm_seconds)
    await link.start()
    try:
        yield link
    finally:
        await link.close()


async def ask(link: RedisLink, value: bytes = b"there") -> bytes:
    async with link.use() as redis:
        answer: bytes = await redis.echo(value)
        return answer


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "src.adapters.redis.link"]


async def test_a_restart_is_noticed_said_once_and_mended(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with linked(redis_server.url) as link:
        assert await ask(link) == b"there"
        assert link.notices() == ()
        await asyncio.to_thread(redis_server.stop)
        for _ in range(50):
            with pytest.raises(RedisDown):
                await ask(link)
            await asyncio.sleep(0.005)
        (notice,) = link.notices()
        assert notice.startswith("redis: does not serve (ConnectionError)")
        await asyncio.to_thread(redis_server.start)
        await until(lambda: link.up)
        assert await ask(link) == b"there"
        await until(lambda: link.notices() == ())
    assert len(lines(caplog)) == 2
    assert lines(caplog)[1] == "redis: serves again"


async def test_it_need_not_be_there_at_the_start(redis_server: RedisServer) -> None:
    redis_server.stop()
    async with linked(redis_server.url) as link:
        assert not link.up
        assert link.notices()
        await asyncio.to_thread(redis_server.start)
        await until(lambda: link.up)
        assert await ask(link) == b"there"


async def test_a_silent_redis_costs_one_deadline_and_then_nothing(redis_server: RedisServer) -> None:
    with FaultyProxy(redis_server.port) as proxy:
        async with linked(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=1.0, watch_seconds=1000) as link:
            assert await ask(link) == b"there"
            proxy.fault = Fault(blackhole=True)
            for _ in range(200):  # if each waited, it would take longer than a test may
                with pytest.raises(RedisDown):
                    await ask(link)
            assert "TimeoutError" in link.notices()[0]


async def test_answers_after_the_deadline_reach_nobody_else(redis_server: RedisServer) -> None:
    """What was asked before the silence is answered after it; no later question may get that answer."""
    with FaultyProxy(redis_server.port) as proxy:
        async with linked(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=0.3) as link:
            for round_number in range(3):
                proxy.fault = Fault(blackhole=True)
                lost = [ask(link, f"lost {round_number} {number}".encode()) for number in range(8)]
                assert all(isinstance(each, RedisDown) for each in await asyncio.gather(*lost, return_exceptions=True))
                proxy.fault = NO_FAULT
                await until(lambda: link.up)
                wanted = [f"kept {round_number} {number}".encode() for number in range(40)]
                answers = await asyncio.gather(*(ask(link, each) for each in wanted), return_exceptions=True)
                assert [each for each in answers if not isinstance(each, RedisDown)], "none was answered"
                assert all(a in (w, None) for a, w in zip(answers, wanted, strict=True) if not isinstance(a, RedisDown))


async def test_slow_answers_within_the_deadline_are_used_and_later_ones_are_not(redis_server: RedisServer) -> None:
    with FaultyProxy(redis_server.port) as proxy:
        async with linked(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=1.0) as link:
            proxy.fault = Fault(latency=0.1)
            assert await ask(link) == b"there"
            proxy.fault = Fault(latency=3.0)
            with pytest.raises(RedisDown):
                await ask(link)
            assert link.notices()


async def test_a_reset_connection_is_made_anew(redis_server: RedisServer) -> None:
    with FaultyProxy(redis_server.port) as proxy:
        async with linked(f"redis://127.0.0.1:{proxy.port}") as link:
            assert await ask(link) == b"there"
            proxy.cut()
            with pytest.raises(RedisDown):
                await ask(link)
            await until(lambda: link.up)
            assert await ask(link) == b"there"


async def test_many_uses_at_once_take_turns(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        wanted = [str(number).encode() for number in range(400)]
        assert await asyncio.gather(*(ask(link, each) for each in wanted)) == wanted
        assert redis_server.connections() <= 8 + 2  # and the probe's, and this test's


async def test_a_redis_that_answers_and_keeps_nothing_is_down(tmp_path: Path) -> None:
    with RedisServer(tmp_path, options={"maxmemory": "1", "maxmemory-policy": "noeviction"}) as server:
        async with linked(server.url) as link:
            assert not link.up
            assert "OutOfMemoryError" in link.notices()[0]


async def test_the_password_is_used_and_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path, options={"requirepass": "open sesame 17"}) as server:
        async with linked(f"redis://:open%20sesame%2017@127.0.0.1:{server.port}") as link:
            assert await ask(link) == b"there"
        async with linked(f"redis://:close%20sesame%2018@127.0.0.1:{server.port}") as link:
            assert not link.up
            assert "sesame" not in str(link.notices())
    assert lines(caplog)
    assert "sesame" not in caplog.text
    assert "127.0.0.1" not in caplog.text


async def test_the_probe_has_a_prefix_and_an_end(redis_server: RedisServer) -> None:
    async with linked(redis_server.url):
        with redis_server.client() as redis:
            names = list(redis.scan_iter())
            assert names == [b"voice-translation:probe"]
            assert 0 < redis_server.milliseconds_left("voice-translation:probe") <= 10_000
