"""Suite `scale`: workers in processes of their own over a real Postgres and Redis, with an engine of fixed time.

- throughput of 1, 2 and 4 workers, as a share of so many times one;
- from enqueueing a job to its start, when nobody else is served;
- what a claim costs, with few and with 100,000 finished jobs in the table.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.redis.link import RedisLink
from src.adapters.redis.queue import DramatiqConsumer, DramatiqQueue
from src.domain.jobs import Job
from src.workers.job_worker import JobWorker
from tests.chaos.scenarios import Caller
from tests.fakes.stand_in import Message
from tests.servers.fleet import Fleet, fleet
from tests.servers.postgres import PostgresServer, name_of, running_postgres
from tests.servers.redis import RedisServer
from tests.support.job_rows import MANY, job

WORKERS = (1, 2, 4)
SLOTS = 2
FINISHED = 100_000

_FILL = """
    INSERT INTO users SELECT 'old-' || n, now() FROM generate_series(0, 999) n;
    INSERT INTO translation_jobs (id, user_id, request, input_key, status, attempts, created_at, updated_at)
        SELECT 'done-' || n, 'old-' || n % 1000, '{"audio_format": "wav", "target_language": "es"}', 'k',
               'completed', 1, now() - n * interval '1 minute', now() - n * interval '1 minute'
        FROM generate_series(1, 100000) n;
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=0.25, help="that the engine takes for a job (0.25)")
    parser.add_argument("--jobs", type=int, default=80, help="for each worker (80)")
    parser.add_argument("--claims", type=int, default=300, help="to time (300)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, running_postgres() as postgres:
        path = Path(folder)
        for name in ("redis", "fleet"):
            (path / name).mkdir()
        with (
            RedisServer(path / "redis", durable=True) as redis,
            fleet(
                path / "fleet", postgres, redis, workers=1, JOB_CONCURRENCY=str(SLOTS), JOB_QUEUE_SIZE="5000"
            ) as made,
        ):
            alone = redis.url.removesuffix("/0") + "/1"  # where the fleet does not listen
            measured = {
                "enqueue_to_start_milliseconds": asyncio.run(_enqueue_to_start(postgres.new_database(), alone)),
                "accept_to_start_milliseconds": asyncio.run(_accept_to_start(made)),
                "jobs_per_second": _throughput(made, arguments.jobs, arguments.seconds),
            }
        measured["claim_milliseconds"] = asyncio.run(_claims(postgres, arguments.claims))
    _print(measured, arguments.seconds)
    return measured


def _throughput(made: Fleet, jobs_each: int, seconds: float) -> dict[int, float]:
    speeds = {}
    for count in WORKERS:
        made.start_workers(count - len(made.workers))
        speeds[count] = asyncio.run(_jobs_per_second(made, jobs_each * count, seconds))
    return speeds


async def _jobs_per_second(made: Fleet, count: int, seconds: float) -> float:
    """From the start of the first to the end of the last; all are in line before long."""
    messages = [Message(f"throughput {uuid4().hex}", seconds) for _ in range(count)]
    async with httpx.AsyncClient(base_url=made.url, timeout=60) as http:
        app = Caller(http)
        sent = await asyncio.gather(*(app.send(message, respond_async=True) for message in messages))
        for answer in sent:
            await app.ended(answer["job_id"])
    ids = ", ".join(f"'{answer['job_id']}'" for answer in sent)
    query = f"SELECT extract(epoch FROM max(updated_at)) FROM translation_jobs WHERE id IN ({ids})"  # noqa: S608 - ours
    ended = float(await asyncio.to_thread(made.postgres.sql, query, name_of(made.database_url)))
    words = {message.words for message in messages}
    return count / (ended - min(start.at for start in made.starts() if start.words in words))


async def _enqueue_to_start(database_url: str, redis_url: str, times: int = 100) -> dict[str, float]:
    """From when a job's row is there to when a worker that has nothing to do, told by Dramatiq, has claimed it."""
    database, link = Database(database_url), RedisLink(redis_url)
    await database.start()
    await link.start()
    rows, queue = SqlJobRepository(database), DramatiqQueue(redis_url, link, 1.0)
    started: dict[str, float] = {}

    async def start(claimed: Job) -> None:
        started[claimed.id] = time.perf_counter()

    worker = JobWorker(partial(rows.claim, 60.0), start, SLOTS, lambda: 60.0)
    consumer = DramatiqConsumer(redis_url, worker.serve, SLOTS)
    worker.start()
    await consumer.start()
    waits = []
    for _ in range(times):
        await asyncio.sleep(0.1)
        new = job(uuid4().hex)
        await rows.add(new, MANY)
        began = time.perf_counter()
        await queue.put(new.id)
        async with asyncio.timeout(10):
            while new.id not in started:  # noqa: ASYNC110 - what is timed does not wait for this
                await asyncio.sleep(0.005)
        waits.append(started[new.id] - began)
    consumer.pause()
    await worker.close(1)
    await consumer.close(5)
    await queue.close()
    await link.close()
    await database.close()
    return _quantiles(waits)


async def _accept_to_start(made: Fleet, times: int = 60) -> dict[str, float]:
    """From the time that a job's row bears to its transcription: storing its sound and its row, the above, decoding."""
    waits = []
    async with httpx.AsyncClient(base_url=made.url, timeout=60) as http:
        app = Caller(http)
        for number in range(times):
            message = Message(f"latency {number}")
            answer = await app.send(message, respond_async=True)
            await app.ended(answer["job_id"])
            query = f"SELECT extract(epoch FROM created_at) FROM translation_jobs WHERE id = '{answer['job_id']}'"  # noqa: S608
            accepted = float(await asyncio.to_thread(made.postgres.sql, query, name_of(made.database_url)))
            waits.append(next(start.at for start in made.starts() if start.words == message.words) - accepted)
    return _quantiles(waits)


async def _claims(postgres: PostgresServer, times: int) -> dict[str, dict[str, float]]:
    url = postgres.new_database()
    database = Database(url)
    await database.start()
    jobs = SqlJobRepository(database)
    few = await _time_claims(jobs, times)
    for statements in (_FILL, "VACUUM ANALYZE"):
        await asyncio.to_thread(postgres.sql, statements, name_of(url))
    many = await _time_claims(jobs, times)
    await database.close()
    return {"few": few, str(FINISHED): many}


async def _time_claims(jobs: SqlJobRepository, times: int) -> dict[str, float]:
    for number in range(times):
        await jobs.add(job(uuid4().hex, f"user-{number % 20}"), MANY)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        assert await jobs.claim(60) is not None  # noqa: S101 - else nothing was measured
        took.append(time.perf_counter() - began)
    return _quantiles(took)


def _quantiles(seconds: list[float]) -> dict[str, float]:
    return {
        "p50": 1000 * statistics.median(seconds),
        "p95": 1000 * statistics.quantiles(seconds, n=20)[-1],
    }


def _print(measured: dict[str, Any], seconds: float) -> None:
    speeds = measured["jobs_per_second"]
    print(f"jobs of {seconds:g} s, {SLOTS} at a time in each worker")
    for count, speed in speeds.items():
        share = speed / (count * speeds[1])
        ideal = speed * seconds / (count * SLOTS)
        print(f"  {count} worker(s): {speed:6.2f} jobs/s, {share:.2f} of linear, {ideal:.2f} of what the engine allows")
    print("milliseconds                               p50      p95")
    print(
        "  from enqueueing to start, idle      {p50:8.1f} {p95:8.1f}".format(
            **measured["enqueue_to_start_milliseconds"]
        )
    )
    print(
        "  from acceptance to transcription    {p50:8.1f} {p95:8.1f}".format(**measured["accept_to_start_milliseconds"])
    )
    for rows, took in measured["claim_milliseconds"].items():
        print("  claim, {rows:>7} finished jobs       {p50:8.2f} {p95:8.2f}".format(rows=rows, **took))
