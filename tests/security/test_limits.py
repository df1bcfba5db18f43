"""Four processes of the service share each limit exactly, and do without Redis for a while."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from jose import jwt

from src.bootstrap.storage import new_key
from tests.conftest import service_process
from tests.fakes.stand_in import Message
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.options import environment
from tests.support.reporting import long_only, say

pytestmark = [pytest.mark.timeout(900), long_only]

PROCESSES = 4
LIMIT = 200
SETTINGS = {
    "RATE_LIMIT_TRANSLATIONS_PER_MINUTE": "0",
    "RATE_LIMIT_REQUESTS_PER_MINUTE": str(LIMIT),
    "MAX_CONCURRENT_REQUESTS_PER_USER": "6",
    "RATE_LIMIT_AUDIO_SECONDS_PER_DAY": "40",
    "MAX_WAITING_JOBS_PER_USER": "20",
    "JOB_CONCURRENCY": "2",
    "JOB_QUEUE_SIZE": "1000",
    **environment(
        {
            # a busy machine is not taken for a Redis that is away, nor this test for a slow client
            "src.bootstrap.stores.RedisLink": {"timeout_seconds": 5},
            "src.bootstrap.process.ConnectionLimits": {"header_seconds": 60},
            "uvicorn.Config": {"timeout_keep_alive": 60},
        }
    ),
    "TRUSTED_PROXIES": "127.0.0.1",
    "AUTH_MODE": "jwt",
    "JWT_SECRET": "of the tests, and longer than 32 bytes",
    "JWT_ISSUER": "tests",
    "JWT_AUDIENCE": "voice",
}
TRANSLATE = "/api/v1/voice/translate"


@dataclass(frozen=True)
class Replicas:
    """Processes of one service, behind one Postgres, one Redis and one folder."""

    urls: list[str]
    redis: RedisServer

    @asynccontextmanager
    async def caller(self, user: str, address: str) -> AsyncIterator["Caller"]:
        now = int(time.time())
        claims = {"sub": user, "iss": "tests", "aud": "voice", "iat": now, "exp": now + 3600, "scope": "voice"}
        token = jwt.encode(claims, SETTINGS["JWT_SECRET"], "HS256")
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
        async with AsyncExitStack() as stack:
            made = [
                httpx.AsyncClient(base_url=url, timeout=120, headers=headers, limits=httpx.Limits(max_connections=400))
                for url in self.urls
            ]
            yield Caller([await stack.enter_async_context(client) for client in made])


@dataclass(frozen=True)
class Caller:
    """One user at one address, who goes from process to process."""

    clients: list[httpx.AsyncClient]

    async def get(self, number: int) -> httpx.Response:
        return await self.clients[number % PROCESSES].get("/api/v1/languages")

    async def translate(self, number: int, seconds: float = 0.0, **headers: str) -> httpx.Response:
        audio = Message(f"message {number}", seconds).encode()
        body = {"audio": audio, "source_language": "en", "target_language": "es"}
        return await self.clients[number % PROCESSES].post(TRANSLATE, json=body, headers=headers)

    async def audio_left(self) -> int:
        budget = (await self.clients[0].get("/api/v1/usage")).json()["audio_budget"]
        return int(budget["seconds_left"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Replicas]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "redis").mkdir()
    with RedisServer(folder / "redis") as redis, ExitStack() as stack:
        shared = {
            **SETTINGS,
            "DATABASE_URL": postgres.new_database(),
            "REDIS_URL": redis.url,
            "DATA_DIR": str(folder / "data"),
            "STORAGE_KEYS": new_key(),
        }
        program = ("tests.fakes.stand_in", "api")
        made = [service_process(folder / f"process-{number}", program, **shared) for number in range(PROCESSES)]
        with ThreadPoolExecutor(PROCESSES) as starting:
            urls = [url for url, _ in starting.map(stack.enter_context, made)]
        yield Replicas(urls, redis)


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def left(answer: httpx.Response) -> int:
    """What the header RateLimit says of the first limit."""
    return int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])


async def test_what_one_user_may_have(service: Replicas, capsys: pytest.CaptureFixture[str]) -> None:
    """Six requests in work at a time, 40 s of audio on the day; each message has one second."""
    async with service.caller("ana", "192.0.2.1") as ana:
        at_once = statuses(await asyncio.gather(*(ana.translate(number, 8.0) for number in range(48))))
        after_those = await ana.audio_left()
        rest: Counter[int] = Counter()
        for _ in range(8):
            rest += statuses(await asyncio.gather(*(ana.translate(number) for number in range(6))))
        remaining = await ana.audio_left()
        last = await ana.translate(0)
    say(
        capsys,
        f"{PROCESSES} processes, 6 requests in work allowed: of 48 at once {dict(at_once)}\n"
        f"40 s of audio a day: {after_those} s left after those, of 48 messages more {dict(rest)}, {remaining} s left",
    )
    assert at_once == {200: 6, 429: 42}
    assert after_those == 34
    assert rest == {200: 34, 429: 14}
    assert remaining == 0
    assert 'audio";q=40;w=86400' in last.headers["ratelimit-policy"]
    assert 60 < int(last.headers["retry-after"]) <= 86_400


async def test_requests_of_a_client(service: Replicas, capsys: pytest.CaptureFixture[str]) -> None:
    async with service.caller("ben", "192.0.2.2") as ben:
        began = time.monotonic()
        answers = await asyncio.gather(*(ben.get(number) for number in range(4 * LIMIT)))
        found, took = statuses(answers), time.monotonic() - began
        served = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        windows = await _moving_window(ben, began)
    say(
        capsys,
        f"{PROCESSES} processes, {len(answers)} requests in {took:.1f} s, limit {LIMIT}: {dict(found)}\nthen {windows}",
    )
    assert took < 55, "the window moved while it was counted"
    assert found == {200: LIMIT, 429: 3 * LIMIT}
    assert min(left(answer) for answer in served) == 0
    assert all(0 <= left(answer) < LIMIT for answer in served)
    assert all(left(answer) == 0 and 1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {f'"client";q={LIMIT};w=60'}


async def _moving_window(ben: Caller, since: float) -> str:
    """Asks for a minute and more; in no 60 s may more than LIMIT be served."""
    served: list[tuple[float, float]] = []

    async def ask(number: int) -> None:
        began = time.monotonic()
        if (await ben.get(number)).status_code == 200:
            served.append((began, time.monotonic()))

    number = 0
    while time.monotonic() - since < 100:
        await asyncio.gather(*(ask(number + one) for one in range(12)))
        number += 12
        await asyncio.sleep(0.5)
    served.sort()
    late = [(first, last) for (first, _), (_, last) in zip(served, served[LIMIT:], strict=False)]
    assert all(last - first >= 60 for first, last in late)
    assert 0 < len(served) <= LIMIT, "after a minute there is room again"
    return f"{number} requests until {time.monotonic() - since:.0f} s after the first, {len(served)} served"


async def test_without_redis(service: Replicas, capsys: pytest.CaptureFixture[str]) -> None:
    async with service.caller("cyd", "192.0.2.3") as cyd:
        await asyncio.to_thread(service.redis.stop)
        found: Counter[int] = Counter()
        until, number = time.monotonic() + 20, 0
        while time.monotonic() < until:
            found += statuses(await asyncio.gather(*(cyd.get(number + one) for one in range(20))))
            number += 20
            await asyncio.sleep(0.5)
        await asyncio.to_thread(service.redis.start)
    say(capsys, f"20 s without Redis, each of {PROCESSES} processes allows a quarter of {LIMIT}: {dict(found)}")
    assert set(found) <= {200, 429}
    assert 0 < found[200] <= LIMIT


async def test_waiting_jobs_of_a_user(service: Replicas, capsys: pytest.CaptureFixture[str]) -> None:
    """The last, as its jobs take all the slots that there are."""
    later = {"Prefer": "respond-async"}
    async with service.caller("dan", "192.0.2.4") as dan:
        busy = Counter[int]()
        for _ in range(2):
            busy += statuses(await asyncio.gather(*(dan.translate(number, 300.0, **later) for number in range(4))))
        while (await dan.clients[0].get("/health")).json()["jobs"]["running"] < 2 * PROCESSES:
            await asyncio.sleep(0.2)
        found: Counter[int] = Counter()
        for _ in range(10):
            found += statuses(await asyncio.gather(*(dan.translate(number, 300.0, **later) for number in range(6))))
    say(capsys, f"{PROCESSES} processes, 20 waiting jobs allowed: of 60 more, six at a time, {dict(found)}")
    assert busy == {202: 8}
    assert found == {202: 20, 429: 40}
