"""RELIABILITY: four processes of the service share each limit exactly, and do without Redis for a while."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import service_process
from tests.reporting import say
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.stand_in import Message

pytestmark = pytest.mark.timeout(900)

PROCESSES = 4
WORK = {"source_language": "en", "target_language": "es"}
TRANSLATE = "/api/v1/voice/translate"


class Replicas:
    """Processes of one service, behind one Postgres, one Redis and one folder."""

    def __init__(self, urls: list[str], redis: RedisServer) -> None:
        self.redis = redis
        self._clients = [httpx.AsyncClient(base_url=url, timeout=60, limits=_WIDE) for url in urls]

    async def get(self, number: int) -> httpx.Response:
        return await self._clients[number % PROCESSES].get("/api/v1/languages")

    async def translate(self, number: int, seconds: float = 0.0, **headers: str) -> httpx.Response:
        body = {**WORK, "audio": Message(f"message {number}", seconds).encode()}
        return await self._clients[number % PROCESSES].post(TRANSLATE, json=body, headers=headers)

    async def audio_left(self) -> int:
        budget = (await self._clients[0].get("/api/v1/usage")).json()["audio_budget"]
        return int(budget["seconds_left"])


_WIDE = httpx.Limits(max_connections=400)


@contextmanager
def replicas(folder: Path, postgres: PostgresServer, **settings: str) -> Iterator[Replicas]:
    (folder / "redis").mkdir()
    with RedisServer(folder / "redis") as redis, ExitStack() as stack:
        shared = {
            "DATABASE_URL": postgres.new_database(),
            "REDIS_URL": redis.url,
            "DATA_DIR": str(folder / "data"),
            "JOB_QUEUE_SIZE": "1000",
            "REDIS_TIMEOUT_SECONDS": "5",  # so that a busy machine is not taken for a Redis that is away
            **settings,
        }
        program = ("tests.stand_in", "api")
        made = [service_process(folder / f"process-{number}", program, **shared) for number in range(PROCESSES)]
        with ThreadPoolExecutor(PROCESSES) as starting:
            urls = [url for url, _ in starting.map(stack.enter_context, made)]
        yield Replicas(urls, redis)


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def left(answer: httpx.Response) -> int:
    """What the header RateLimit says of the first limit."""
    return int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])


async def test_requests_of_a_client(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    limit, each = 200, 200
    with replicas(tmp_path, postgres, RATE_LIMIT_REQUESTS_PER_MINUTE=str(limit)) as service:
        began = time.monotonic()
        answers = await asyncio.gather(*(service.get(number) for number in range(PROCESSES * each)))
        found, took = statuses(answers), time.monotonic() - began
        served = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        windows = await _moving_window(service, limit, began)
        away = await _without_redis(service)
    say(
        capsys,
        f"{PROCESSES} processes, {len(answers)} requests in {took:.1f} s, limit {limit}: {dict(found)}\n"
        f"then {windows}\nRedis away for {away}",
    )
    assert found == {200: limit, 429: PROCESSES * each - limit}
    assert took < 55, "the window moved while it was counted"
    assert min(left(answer) for answer in served) == 0
    assert all(0 <= left(answer) < limit for answer in served)
    assert all(left(answer) == 0 and 1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    policy = f'"client";q={limit};w=60'
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {policy}


async def _moving_window(service: Replicas, limit: int, since: float) -> str:
    """Asks for a minute and more; in no 60 s may more than `limit` be served."""
    served: list[tuple[float, float]] = []

    async def ask(number: int) -> None:
        began = time.monotonic()
        if (await service.get(number)).status_code == 200:
            served.append((began, time.monotonic()))

    number = 0
    while time.monotonic() - since < 100:
        await asyncio.gather(*(ask(number + one) for one in range(12)))
        number += 12
        await asyncio.sleep(0.5)
    served.sort()
    late = [(first, last) for (first, _), (_, last) in zip(served, served[limit:], strict=False)]
    assert all(last - first >= 60 for first, last in late)
    assert limit <= len(served) <= 2 * limit, "after a minute there is room again"
    return f"{number} requests over {time.monotonic() - since:.0f} s, {len(served)} served, at most {limit} in any 60 s"


async def _without_redis(service: Replicas, seconds: float = 20.0) -> str:
    await asyncio.to_thread(service.redis.stop)
    found: Counter[int] = Counter()
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        found += statuses(await asyncio.gather(*(service.get(number + one) for one in range(20))))
        number += 20
        await asyncio.sleep(0.5)
    await asyncio.to_thread(service.redis.start)
    assert set(found) <= {200, 429}
    assert found[200] <= 200, "each of four allows a quarter"
    assert found[200] > 0
    return f"{seconds:g} s: {dict(found)}"


async def test_what_one_user_may_have(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six requests in work at a time, 40 s of audio on the day; each message has one second."""
    settings = {
        "MAX_CONCURRENT_REQUESTS_PER_USER": "6",
        "RATE_LIMIT_AUDIO_SECONDS_PER_DAY": "40",
        "JOB_CONCURRENCY": "8",
    }
    with replicas(tmp_path, postgres, **settings) as service:
        at_once = statuses(await asyncio.gather(*(service.translate(number, 8.0) for number in range(48))))
        after_those = await service.audio_left()
        rest: Counter[int] = Counter()
        for _ in range(10):
            rest += statuses(await asyncio.gather(*(service.translate(number) for number in range(6))))
        remaining = await service.audio_left()
        last = await service.translate(0)
    say(
        capsys,
        f"{PROCESSES} processes, 6 requests in work allowed: of 48 at once {dict(at_once)}\n"
        f"40 s of audio a day: {after_those} s left after those, of 60 messages more {dict(rest)}, {remaining} s left",
    )
    assert at_once == {200: 6, 429: 42}
    assert after_those == 34
    assert rest == {200: 34, 429: 26}
    assert remaining == 0
    assert last.headers["ratelimit-policy"].startswith('"audio";q=40;w=86400')
    assert 1 <= int(last.headers["retry-after"]) <= 86_400


async def test_waiting_jobs_of_a_user(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"MAX_WAITING_JOBS_PER_USER": "20", "JOB_CONCURRENCY": "1"}
    with replicas(tmp_path, postgres, **settings) as service:
        busy = [await service.translate(number, 60.0, Prefer="respond-async") for number in range(PROCESSES)]
        await asyncio.sleep(10)  # until each process has one in work
        found = statuses(
            await asyncio.gather(*(service.translate(number, 60.0, Prefer="respond-async") for number in range(100)))
        )
    say(capsys, f"{PROCESSES} processes, 20 waiting jobs allowed: of 100 at once {dict(found)}")
    assert statuses(busy) == {202: PROCESSES}
    assert found == {202: 20, 429: 80}
