"""What is done to a fleet, and what is counted."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx

from src.utils.concurrency import background_task
from tests.fakes.stand_in import Message, Start
from tests.servers.fleet import Fleet
from tests.servers.postgres import name_of

_PATIENCE_SECONDS = 300.0
_RETRIED = (429, 503, 504)
_MEAN_PAUSE_SECONDS = 0.8
"""Between two blows."""
_KEEP_LEASES = """
CREATE TABLE lease_log (at timestamptz DEFAULT clock_timestamp(), job text, status text, lease_until timestamptz);
CREATE FUNCTION log_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO lease_log (job, status, lease_until) VALUES (NEW.id, NEW.status, OLD.lease_until); RETURN NULL; END $$;
CREATE TRIGGER log_lease AFTER UPDATE ON translation_jobs
FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION log_lease()
"""
"""Each change of a job's status: when, and until when its worker had it before."""
_LEASES = """
SELECT extract(epoch FROM at), job, status, coalesce(extract(epoch FROM lease_until), 0) FROM lease_log ORDER BY at
"""


@dataclass
class Caller:
    """An app: it sends again what was refused, with the same Idempotency-Key, and asks again when nobody answers."""

    http: httpx.AsyncClient
    refusals: Counter[int] = field(default_factory=Counter)

    async def send(self, message: Message, *, respond_async: bool = False, key: str | None = None) -> dict[str, Any]:
        body = {
            "audio": message.encode(),
            "target_language": "es",
            "source_language": "en",
            "options": {"return_base64": False},
        }
        headers = {"Idempotency-Key": key or uuid4().hex, **({"Prefer": "respond-async"} if respond_async else {})}
        return await self._until_taken(
            lambda: self.http.post("/api/v1/voice/translate", json=body, headers=headers), (200, 202, 500)
        )

    async def ended(self, job_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = await self._until_taken(lambda: self.http.get(f"/api/v1/voice/job/{job_id}"), (200,))
            if answer["status"] in ("completed", "failed"):
                return answer
            await asyncio.sleep(0.2)
        raise AssertionError(f"job {job_id} has not ended")

    async def done(self, message: Message, *, respond_async: bool = False) -> dict[str, Any]:
        """Sent, and waited for to the end."""
        answer = await self.send(message, respond_async=respond_async)
        return answer if answer.get("status") in ("completed", "failed") else await self.ended(answer["job_id"])

    async def _until_taken(self, ask: Callable[[], Awaitable[httpx.Response]], good: tuple[int, ...]) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                response = await ask()
            except httpx.TransportError:
                self.refusals[0] += 1
            else:
                if response.status_code in good:
                    answer: dict[str, Any] = response.json()
                    return answer
                self.refusals[response.status_code] += 1
                assert response.status_code in (*_RETRIED, 409), response.text
            await asyncio.sleep(0.2)
        raise AssertionError("nobody took the request")


def caller(fleet: Fleet) -> Caller:
    limits = httpx.Limits(max_connections=400)
    return Caller(httpx.AsyncClient(base_url=fleet.url, timeout=90, limits=limits))


@dataclass
class Storm:
    """`requests` come at once and are waited for, `jobs` come all the while; the last kill falls on a single job."""

    requests: int
    jobs: int
    worker_kills: int
    redis_kills: int
    postgres_kills: int
    flushes: int
    seconds_each: float = 0.7

    @property
    def blows(self) -> int:
        return self.worker_kills + self.redis_kills + self.postgres_kills + self.flushes


@dataclass
class Figures:
    jobs: int = 0
    kills: int = 0
    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    begun_again: int = 0
    worst_recovery_seconds: float = 0.0
    refusals: dict[int, int] = field(default_factory=dict)


async def weather(fleet: Fleet, storm: Storm, rng: random.Random) -> Figures:
    """Every message is sent, everything is killed, and every answer is looked at."""
    figures = Figures()
    before = await _final_results(fleet)
    await _sql(fleet, _KEEP_LEASES)
    app = caller(fleet)
    messages = [
        Message(f"message {number} {uuid4().hex}", storm.seconds_each) for number in range(storm.requests + storm.jobs)
    ]

    async def later(message: Message) -> dict[str, Any]:
        await asyncio.sleep(rng.uniform(0, storm.blows * _MEAN_PAUSE_SECONDS))
        return await app.done(message, respond_async=True)

    async with app.http:
        asking = [
            asyncio.create_task(app.done(message) if number < storm.requests else later(message))
            for number, message in enumerate(messages)
        ]
        async with background_task(_replace_dead_workers(fleet)):
            await _strike(fleet, storm, rng)
            answers = await asyncio.gather(*asking)
            await _kill_when_idle(fleet, app)
    figures.jobs, figures.kills = len(messages) + 1, storm.worker_kills + 1
    figures.lost = sum(answer["status"] != "completed" for answer in answers)
    figures.wrong = sum(
        answer["translated_text"] != message.words[::-1]
        for message, answer in zip(messages, answers, strict=True)
        if answer["status"] == "completed"
    )
    figures.refusals = dict(app.refusals)
    figures.duplicated = await _final_results(fleet) - before - figures.jobs
    sent = {message.words for message in messages}
    figures.begun_again = sum(start.words in sent for start in fleet.starts()) - len(sent)
    figures.worst_recovery_seconds = max(recoveries(await _sql(fleet, _LEASES)))
    return figures


async def _final_results(fleet: Fleet) -> int:
    """Each is counted in the transaction that writes it."""
    query = "SELECT count(*) FROM usage WHERE operation = 'translate' AND outcome = 'completed'"
    return int(await _sql(fleet, query))


async def _sql(fleet: Fleet, statement: str) -> str:
    return await asyncio.to_thread(fleet.postgres.sql, statement, name_of(fleet.database_url))


async def _strike(fleet: Fleet, storm: Storm, rng: random.Random) -> None:
    blows = ["worker"] * storm.worker_kills + ["redis"] * storm.redis_kills
    blows += ["postgres"] * storm.postgres_kills + ["flush"] * storm.flushes
    rng.shuffle(blows)
    for blow in blows:
        await asyncio.sleep(rng.uniform(0.5, 1.5) * _MEAN_PAUSE_SECONDS)
        if blow == "worker":
            while len(ready := await asyncio.to_thread(fleet.ready_workers)) < 2:  # somebody must do the work
                await asyncio.sleep(0.1)
            await asyncio.to_thread(fleet.end, rng.choice(ready))
        elif blow == "redis":
            await asyncio.to_thread(fleet.redis.kill)
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            await asyncio.to_thread(fleet.redis.start)
        elif blow == "postgres":
            await asyncio.to_thread(fleet.postgres.restart, signal.SIGKILL)
        else:
            await asyncio.to_thread(fleet.redis.flush_all)


def recoveries(lease_log: str) -> list[float]:
    """Of each lease that ran out: the seconds until the job was back in line, and the longest that it then saw no job
    claimed until it was itself. While others are claimed before it, no worker is free for it.
    """
    rows = [line.split("|") for line in lease_log.splitlines()]
    changes = [(float(at), job, status, float(lease_until)) for at, job, status, lease_until in rows]
    found = []
    for number, (at, job, status, lease_until) in enumerate(changes):
        if status != "pending" or not 0 < lease_until < at:
            continue
        later = changes[number + 1 :]
        own = next(
            index for index, (_, other, *_) in enumerate(later) if other == job
        )  # claimed, or ended by who is late
        claims = [at, *(then for then, _, became, _ in later[:own] if became == "processing"), later[own][0]]
        found.append(at - lease_until + max(after - before for before, after in pairwise(claims)))
    return found


async def _kill_when_idle(fleet: Fleet, app: Caller) -> None:
    """One job there is, and its worker is killed."""
    words = f"the last {uuid4().hex}"
    asking = asyncio.create_task(app.done(Message(words, 1.0), respond_async=True))
    first = await _started(fleet, words, 1)
    victim = next(worker for worker in fleet.workers if worker.pid == first.process)
    await asyncio.to_thread(fleet.end, victim)
    assert (await asking)["translated_text"] == words[::-1]
    await _started(fleet, words, 2)


async def _started(fleet: Fleet, words: str, times: int) -> Start:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = [start for start in fleet.starts() if start.words == words]
        if len(found) >= times:
            return found[times - 1]
        await asyncio.sleep(0.05)
    raise AssertionError(f"the message was not begun {times} times")


async def outlast_the_lease(fleet: Fleet, lease_seconds: float) -> int:
    """How often a job that takes three leases was begun."""
    app = caller(fleet)
    message = Message(f"long {uuid4().hex}", 3 * lease_seconds)
    async with app.http:
        answer = await app.done(message)
    assert answer["translated_text"] == message.words[::-1]
    return sum(start.words == message.words for start in fleet.starts())


async def poison(fleet: Fleet, others: int) -> tuple[dict[str, Any], int]:
    """What became of a job that kills its worker, and how often it was begun, while others go on and are done.

    Workers that die are replaced, as an orchestrator does.
    """
    app = caller(fleet)
    bad = Message(f"poison {uuid4().hex}", kills=True)
    good = [Message(f"good {number} {uuid4().hex}", 0.2) for number in range(others)]
    async with background_task(_replace_dead_workers(fleet)), app.http:
        dead, *done = await asyncio.gather(
            app.done(bad, respond_async=True), *(app.done(message, respond_async=True) for message in good)
        )
    assert [answer["translated_text"] for answer in done] == [message.words[::-1] for message in good]
    return dead, sum(start.words == bad.words for start in fleet.starts())


async def _replace_dead_workers(fleet: Fleet) -> None:
    while True:
        await asyncio.to_thread(fleet.replace_dead_workers)
        await asyncio.sleep(0.1)


async def one_key(fleet: Fleet, times: int) -> set[str]:
    """The jobs that so many submits at the same time with one Idempotency-Key made."""
    app = caller(fleet)
    message = Message(f"once {uuid4().hex}")
    async with app.http:
        answers = await asyncio.gather(
            *(app.send(message, respond_async=True, key=message.words) for _ in range(times))
        )
    return {answer["job_id"] for answer in answers}


async def terminate_in_the_middle(fleet: Fleet, jobs: int) -> list[dict[str, Any]]:
    """The answers to so many jobs of half a second, all workers but one being told to end meanwhile."""
    app = caller(fleet)
    messages = [Message(f"drained {number} {uuid4().hex}", 0.5) for number in range(jobs)]
    async with app.http:
        asking = [asyncio.create_task(app.done(message)) for message in messages]
        await _started(fleet, messages[0].words, 1)
        await asyncio.gather(*(asyncio.to_thread(fleet.kill, worker, signal.SIGTERM) for worker in fleet.workers[1:]))
        answers = await asyncio.gather(*asking)
    assert [answer["translated_text"] for answer in answers] == [message.words[::-1] for message in messages]
    begun = Counter(start.words for start in fleet.starts())
    assert all(begun[message.words] == 1 for message in messages), "a job was begun again after a SIGTERM"
    return answers


async def without_redis(fleet: Fleet, seconds: float) -> tuple[int, Counter[int]]:
    """How many messages were done while Redis was away for so long, and what was refused meanwhile."""
    app = caller(fleet)
    done = 0
    await asyncio.to_thread(fleet.redis.kill)
    try:
        async with app.http:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                message = Message(f"alone {done} {uuid4().hex}", 0.05)
                assert (await app.done(message))["translated_text"] == message.words[::-1]
                done += 1
    finally:
        await asyncio.to_thread(fleet.redis.start)
    return done, app.refusals
