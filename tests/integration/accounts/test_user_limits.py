"""What one user may have in work, waiting, and decoded on a day: exact on a real database and a real Redis, and over
HTTP.
"""

import asyncio
import time
from contextlib import AbstractContextManager, AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.adapters.database.accounts.usage import SqlAudioLedger, SqlUsageRepository
from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.redis.limits import RedisSlots
from src.domain.accounts import DECODED
from src.domain.errors import RateLimited
from src.domain.jobs import UsageEvent, now
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber, Gate
from tests.integration.api.test_http_contract import MINUTES
from tests.integration.redis.test_redis_link import linked
from tests.servers.redis import RedisServer
from tests.support.job_rows import MANY, job
from tests.support.messages import AUDIO, MESSAGE, PROFILE
from tests.support.waiting import until


async def databases(url: str, number: int, stack: AsyncExitStack) -> list[Database]:
    """As many processes would have."""
    made = [Database(url) for _ in range(number)]
    for database in made:
        stack.push_async_callback(database.close)
    await made[0].start()
    return made


async def test_audio_is_counted_exactly_by_several_processes(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        ledgers = [SqlAudioLedger(each) for each in await databases(database_url, 4, stack)]
        events = [UsageEvent("ana", DECODED, "completed", seconds_in=2.5) for _ in range(40)]
        spent = await asyncio.gather(*(ledgers[n % 4].spend(event, 51.0) for n, event in enumerate(events)))
        assert spent.count(True) == 20
        assert await ledgers[0].spent("ana", now()) == 50.0
        assert await ledgers[1].spend(UsageEvent("ana", DECODED, "completed", seconds_in=1.0), 51.0)
        assert await ledgers[2].spend(UsageEvent("ben", DECODED, "completed", seconds_in=51.0), 51.0)
        yesterday = now() - timedelta(days=1)
        assert await ledgers[3].spent("ana", yesterday) == 0.0
        assert await ledgers[3].spend(UsageEvent("ana", DECODED, "completed", seconds_in=9.0, at=yesterday), 51.0)
        assert await ledgers[0].spent("ana", now()) == 51.0


async def test_decoded_audio_is_no_request(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        (database,) = await databases(database_url, 1, stack)
        await SqlAudioLedger(database).spend(UsageEvent("ana", DECODED, "completed", seconds_in=9.0), 51.0)
        usage = SqlUsageRepository(database)
        assert await usage.by_day("ana", 9) == []
        await usage.add(UsageEvent("ana", "translate", "completed", seconds_in=2.0))
        assert [(day.requests, day.seconds_in) for day in await usage.by_day("ana", 9)] == [(1, 2.0)]


async def test_a_users_waiting_jobs_are_counted_exactly(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        rows = [SqlJobRepository(each) for each in await databases(database_url, 4, stack)]
        adding = [rows[n % 4].add(job(f"a{n}", "ana"), MANY, 5) for n in range(24)]
        answers = await asyncio.gather(*adding, return_exceptions=True)
        assert answers.count(None) == 5
        refused = [each for each in answers if each is not None]
        assert all(isinstance(each, RateLimited) and each.retry_after_seconds for each in refused)
        await rows[0].add(job("b", "ben"), MANY, 5)
        assert await rows[0].claim(30.0) is not None
        assert await rows[0].claim(30.0) is not None  # one of ana's two turns
        await rows[1].add(job("later", "ana"), MANY, 5)
        with pytest.raises(RateLimited):
            await rows[2].add(job("too many", "ana"), MANY, 4)


async def test_slots_are_shared_exactly(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as one, linked(redis_server.url) as other:
        slots = [RedisSlots(link, 0.5, 60.0) for link in (one, other)]
        inside, most, refused = 0, 0, 0

        async def request(number: int) -> bool:
            nonlocal inside, most, refused
            async with slots[number % 2].held("ana", 3) as taken:
                if taken:
                    inside += 1
                    most = max(most, inside)
                    await until(lambda: refused == 17)
                    inside -= 1
                else:
                    refused += 1
                return taken

        answers = await asyncio.gather(*(request(number) for number in range(20)))
        assert (answers.count(True), most) == (3, 3)
        async with slots[0].held("ana", 1) as taken, slots[1].held("ben", 1) as others:
            assert (taken, others) == (True, True)
        with redis_server.client() as redis:
            assert [key for key in redis.scan_iter() if b":slots:" in key] == []


async def test_the_slot_of_a_process_that_died_is_free_again(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        lost = RedisSlots(link, 0.5, 1.0).held("ana", 1)
        assert await lost.__aenter__()
        async with RedisSlots(link, 0.5, 60.0).held("ana", 1) as taken:
            assert not taken
        await asyncio.sleep(1.1)
        async with RedisSlots(link, 0.5, 60.0).held("ana", 1) as taken:
            assert taken
        await lost.__aexit__(None, None, None)


async def test_without_redis_each_process_has_a_share_of_the_slots(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link, AsyncExitStack() as held:
        slots = RedisSlots(link, 0.5, 60.0)
        assert await held.enter_async_context(slots.held("ana", 4))
        await asyncio.to_thread(redis_server.stop)
        taken = [await held.enter_async_context(slots.held("ana", 4)) for _ in range(3)]
        assert taken == [True, False, False]  # what it had in work before counts
        assert link.notices()
        await asyncio.to_thread(redis_server.start)
        await until(lambda: link.up)
        await held.aclose()
        async with slots.held("ana", 1) as one:
            assert one


def serving_users(data_dir: Path, gate: Gate | None = None, **settings: Any) -> AbstractContextManager[httpx.Client]:
    """A service on fake engines, whose recordings have 1.5 s each."""
    transcriber = FakeTranscriber(gate=gate) if gate else FakeTranscriber()
    return serve(data_dir, fake_engines(transcriber=transcriber), min_reference_seconds=0.5, **settings)


def translate(http: httpx.Client, **headers: str) -> httpx.Response:
    return http.post("/api/v1/voice/translate", json=MESSAGE, headers=headers)


def test_the_days_audio_over_http(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"rate_limit_audio_seconds_per_day": 8}
    with serving_users(tmp_path, **settings) as http:
        assert http.get("/api/v1/usage").json()["audio_budget"]["seconds_left"] == 8
        first = translate(http)
        assert first.status_code == 200
        assert first.headers["ratelimit-policy"] == '"audio";q=8;w=86400;qu="audio-seconds"'
        assert first.headers["ratelimit"].startswith('"audio";r=8;t=')
        body = {"audio": AUDIO, "source_language": "en"}
        assert http.post("/api/v1/voice/transcribe", json=body).status_code == 200
        saved = http.post("/api/v1/voice/profile", json=PROFILE)
        assert saved.status_code == 200
        said = {"text": "hello", "target_language": "en"}
        assert http.post("/api/v1/voice/clone", json={**said, "reference_audio": AUDIO}).status_code == 200
        assert http.get("/api/v1/usage").json()["audio_budget"]["seconds_left"] == 2
    with serving_users(tmp_path, **settings) as http:  # a restart forgives nothing
        assert translate(http).status_code == 200
        refused = translate(http)  # 0.5 s are left
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        late = http.post("/api/v1/voice/clone", json={**said, "voice_profile_id": saved.json()["profile_id"]})
        assert late.status_code == 200, "no audio was to be decoded"
    with serving_users(tmp_path, rate_limit_audio_seconds_per_day=7) as http:
        refused = translate(http)  # nothing is left: refused before its body is read
        assert (refused.status_code, refused.json()["retryable"]) == (429, True)
        assert refused.headers["ratelimit"].startswith('"audio";r=0;t=')
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        budget = http.get("/api/v1/usage").json()["audio_budget"]
        assert (budget["seconds_per_day"], budget["seconds_left"]) == (7, 0)
    with serving_users(tmp_path) as http:
        assert http.get("/api/v1/usage").json()["audio_budget"] is None
        assert "ratelimit" not in translate(http).headers


async def test_requests_in_work_over_http(tmp_path: Path) -> None:
    gate = Gate()
    with serving_users(tmp_path, gate, max_concurrent_requests_per_user=2) as http:
        base = str(http.base_url)
        async with httpx.AsyncClient(base_url=base, timeout=60) as caller:
            stays = asyncio.create_task(caller.post("/api/v1/voice/translate", json=MESSAGE))
            leaves = asyncio.create_task(caller.post("/api/v1/voice/translate", json=MESSAGE))
            await until(lambda: gate.inside == 2)
            refused = await caller.post("/api/v1/voice/translate", json=MESSAGE)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["ratelimit-policy"] == '"concurrent";q=2;qu="concurrent-requests"'
            assert (await caller.get("/api/v1/voice/jobs")).status_code == 200, "looking is no work"
            leaves.cancel()
            await until(lambda: gate.cancelled == 1)
            later = await _not_refused(caller)
            assert later.status_code == 202  # an asynchronous one has its answer, and so its slot is free
            gate.opened.set()
            assert (await stays).status_code == 200
            answers = await asyncio.gather(*(_not_refused(caller, Prefer="wait=20") for _ in range(2)))
            assert [answer.status_code for answer in answers] == [200, 200]


async def _not_refused(caller: httpx.AsyncClient, **headers: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        preferred = headers or {"Prefer": "respond-async"}
        answer = await caller.post("/api/v1/voice/translate", json=MESSAGE, headers=preferred)
        if answer.status_code != 429:
            return answer
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_recording_that_becomes_a_job_is_counted_once(tmp_path: Path) -> None:
    with serving_users(tmp_path, rate_limit_audio_seconds_per_day=400) as http:
        answers = [http.post("/api/v1/voice/transcribe", json=MINUTES) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]  # 240 s each


def test_waiting_jobs_over_http(tmp_path: Path) -> None:
    gate = Gate()
    with serving_users(tmp_path, gate, max_waiting_jobs_per_user=3, job_concurrency=1) as http:
        answers = [translate(http, Prefer="respond-async") for _ in range(8)]
        taken = [answer.status_code for answer in answers]
        assert taken.count(202) in (3, 4)  # whether or not the first has begun
        assert set(taken) == {202, 429}
        refused = answers[-1]
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "5")
        assert "jobs of yours are waiting" in refused.json()["detail"]
        assert translate(http).status_code == 429
        gate.opened.set()
        for answer in answers:
            if answer.status_code == 202:
                _until_ended(http, answer.headers["location"])
        assert translate(http).status_code == 200


def _until_ended(http: httpx.Client, location: str) -> None:
    deadline = time.monotonic() + 60
    while http.get(location).json()["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
