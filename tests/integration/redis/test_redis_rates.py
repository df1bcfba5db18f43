"""Rate limits over a real Redis: shared exactly, and never the reason for a failed request."""

import asyncio
import json
import subprocess
import sys

from src.adapters.redis.limits import RedisCounter
from src.adapters.redis.link import RedisLink
from src.api.middleware import Edge
from tests.conftest import ROOT
from tests.integration.redis.test_redis_link import linked
from tests.servers.proxy import Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.support.edge_app import client, edge_app
from tests.support.waiting import until
from tests.unit.api.test_edge_rates import check_headers

PATH = "/api/v1/whoami/x"


def edge(link: RedisLink, per_minute: int, share: float = 0.25) -> Edge:
    return Edge(max_body_bytes=1000, requests_per_minute=per_minute, counter=RedisCounter(link, share))


def test_four_processes_share_one_limit_exactly(redis_server: RedisServer) -> None:
    command = [sys.executable, "-m", "tests.servers.limited_process", redis_server.url, "50", "30"]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        counts = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            out, _ = process.communicate(timeout=60)
            counts.append(json.loads(out))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sum(count.get("200", 0) for count in counts) == 50
    assert sum(count.get("429", 0) for count in counts) == 4 * 30 - 50


async def test_the_headers_are_those_of_a_local_limit(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link, client(edge_app(edge(link, 2))) as http:
        check_headers(await http.get(PATH), "client", limit=2, remaining=1)
        check_headers(await http.get(PATH), "client", limit=2, remaining=0)
        refused = await http.get(PATH)
        assert refused.status_code == 429
        check_headers(refused, "client", limit=2, remaining=0)
        with redis_server.client() as redis:
            names = [name for name in redis.scan_iter() if not name.endswith(b":probe")]
            assert len(names) == 1
            assert names[0].startswith(b"voice-translation:rates:")
            assert 0 < redis_server.milliseconds_left(names[0].decode()) <= 60_000
            assert redis.llen(names[0]) == 2


async def test_without_redis_each_process_allows_a_share(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link, client(edge_app(edge(link, 8))) as http:
        assert (await http.get(PATH)).status_code == 200
        await asyncio.to_thread(redis_server.stop)
        answers = [await http.get(PATH) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        check_headers(answers[0], "client", limit=2, remaining=1)
        assert link.notices()
        await asyncio.to_thread(redis_server.start)
        await until(lambda: link.up)
        # It lost the count and the scripts with its memory.
        assert [(await http.get(PATH)).status_code for _ in range(9)] == [200] * 8 + [429]


async def test_flushall_and_lost_scripts_only_begin_the_count_again(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link, client(edge_app(edge(link, 2))) as http:
        assert [(await http.get(PATH)).status_code for _ in range(3)] == [200, 200, 429]
        with redis_server.client() as redis:
            redis.flushall()
            redis.script_flush()
        assert [(await http.get(PATH)).status_code for _ in range(3)] == [200, 200, 429]
        assert link.notices() == ()


async def test_a_silent_redis_delays_one_request_and_not_each(redis_server: RedisServer) -> None:
    with FaultyProxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with linked(url, timeout_seconds=1.0) as link, client(edge_app(edge(link, 1000, share=1))) as http:
            await http.get(PATH)
            proxy.fault = Fault(blackhole=True)
            for _ in range(200):  # if each waited for Redis, it would take longer than a test may
                assert (await http.get(PATH)).status_code == 200
            assert link.notices()


async def test_an_unstable_redis_fails_no_request(redis_server: RedisServer) -> None:
    with FaultyProxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with linked(url, timeout_seconds=0.2) as link, client(edge_app(edge(link, 1000, share=1))) as http:
            for fault in (Fault(reset_after=30), Fault(latency=0.5), Fault(drip=0.05), Fault(reset_after=0)):
                proxy.fault = fault
                answers = await asyncio.gather(*(http.get(PATH) for _ in range(20)))
                assert {answer.status_code for answer in answers} == {200}
