"""The outbox of callbacks in SQLite and in Postgres: each is one process's at a time, and goes with its job."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import SqlCallbackOutbox
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.tables import callbacks
from src.domain.audio import AudioFormat
from src.domain.callbacks import Callback, Receipt
from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job, JobError, JobRequest, JobStatus, UsageEvent, now
from tests.servers.postgres import PostgresServer

FAILED = Receipt(500, "status 500")
USE = UsageEvent("ann", "translate", "completed", "en", "es", 1.0, 1.0, 10)


@pytest.fixture
def outbox(database: Database) -> SqlCallbackOutbox:
    return SqlCallbackOutbox(database)


async def ended_job(database: Database, job_id: str, url: str | None = "https://one.example/hook", **end: Any) -> Job:
    """A job that has ended: completed, or as `end` says."""
    jobs = SqlJobRepository(database)
    job = Job(job_id, "ann", JobRequest(AudioFormat.WAV, "es", "en", callback_url=url), "k")
    await jobs.add(job, 100)
    job = replace(job, **{"status": JobStatus.COMPLETED, **end})
    assert await jobs.finish(job, USE)
    return job


async def stored(database: Database) -> list[Any]:
    return list(await database.read(select(callbacks).order_by(callbacks.c.created_at)))


async def make_due(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.execute(callbacks.update().values(next_attempt_at=now()))


async def claimed(outbox: SqlCallbackOutbox, *without: str, lease_seconds: float = 30.0) -> Callback:
    callback = await outbox.claim(lease_seconds, without)
    assert callback is not None
    return callback


async def test_a_callback_comes_back_as_it_went_in(database: Database, outbox: SqlCallbackOutbox) -> None:
    error = JobError("no_speech_detected", "What somebody said.", False)
    await ended_job(database, "j", "https://One.example:444/hook?a=b", status=JobStatus.FAILED, error=error)
    callback = await claimed(outbox)
    assert callback.id.startswith("msg_")
    assert (callback.job_id, callback.user_id, callback.attempts) == ("j", "ann", 1)
    assert (callback.url, callback.host) == ("https://One.example:444/hook?a=b", "one.example")
    assert callback.type == "job.failed"
    assert callback.data == {
        "job_id": "j",
        "status": "failed",
        "target_language": "es",
        "source_language": "en",
        "error_code": "no_speech_detected",
        "job_path": "/api/v1/voice/job/j?user_id=ann",
    }
    assert timedelta() <= now() - callback.created_at < timedelta(minutes=1)


async def test_only_ended_jobs_whose_callers_ask_for_it_have_one(database: Database) -> None:
    await ended_job(database, "a", None)
    asks = JobRequest(AudioFormat.WAV, "es", callback_url="https://one.example/")
    await SqlJobRepository(database).add(Job("b", "ann", asks, "k"), 100)
    assert await stored(database) == []


async def test_a_final_state_and_its_callback_are_stored_together_or_not_at_all(
    database: Database, outbox: SqlCallbackOutbox
) -> None:
    jobs = SqlJobRepository(database)
    job = Job("j", "ann", JobRequest(AudioFormat.WAV, "es", callback_url="https://one.example/"), "k")
    await jobs.add(job, 100)
    async with database._writer.begin() as connection:
        await connection.execute(text("ALTER TABLE callbacks RENAME TO elsewhere"))
    with pytest.raises((DBAPIError, EngineUnavailable)):
        await jobs.finish(replace(job, status=JobStatus.COMPLETED), USE)
    assert (await jobs.get("j")).status is JobStatus.PENDING
    async with database._writer.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO callbacks"))
    assert await outbox.claim(30) is None
    await jobs.finish(replace(job, status=JobStatus.COMPLETED), USE)
    assert (await claimed(outbox)).job_id == "j"


async def test_a_job_that_is_gone_has_no_callback(database: Database) -> None:
    job = Job("j", "ann", JobRequest(AudioFormat.WAV, "es", callback_url="https://one.example/"), "k")
    assert not await SqlJobRepository(database).finish(replace(job, status=JobStatus.COMPLETED), USE)
    assert await stored(database) == []


async def test_an_end_that_is_written_twice_is_told_once(database: Database, outbox: SqlCallbackOutbox) -> None:
    job = await ended_job(database, "j")
    await outbox.delivered(await claimed(outbox), Receipt(200))
    assert await SqlJobRepository(database).finish(job, USE)
    assert await outbox.claim(30) is None


async def test_a_claimed_callback_is_not_claimed_again_before_its_lease_ends(
    database: Database, outbox: SqlCallbackOutbox
) -> None:
    await ended_job(database, "j")
    first = await claimed(outbox)
    assert await outbox.claim(30) is None
    (row,) = await stored(database)
    assert timedelta(seconds=20) < row.next_attempt_at - now() <= timedelta(seconds=30)
    await make_due(database)
    second = await claimed(outbox)
    assert (second.id, second.attempts) == (first.id, 2)


async def test_the_outcome_of_an_older_attempt_does_not_count(database: Database, outbox: SqlCallbackOutbox) -> None:
    await ended_job(database, "j")
    stale = await claimed(outbox, lease_seconds=0.0)
    latest = await claimed(outbox)
    await outbox.give_up(stale, FAILED)
    await outbox.retry(stale, FAILED, 0)
    (row,) = await stored(database)
    assert (row.given_up_at, row.last_status, row.attempts) == (None, None, 2)
    assert await outbox.claim(30) is None
    await outbox.delivered(latest, Receipt(204))
    (row,) = await stored(database)
    assert (row.last_status, row.last_error) == (204, None)
    assert row.delivered_at is not None


async def test_a_failed_one_is_due_again_after_its_pause(database: Database, outbox: SqlCallbackOutbox) -> None:
    await ended_job(database, "j")
    await outbox.retry(await claimed(outbox), FAILED, 60)
    (row,) = await stored(database)
    assert (row.last_status, row.last_error) == (500, "status 500")
    assert timedelta(seconds=50) < row.next_attempt_at - now() <= timedelta(seconds=60)
    assert await outbox.claim(30) is None
    await make_due(database)
    assert (await claimed(outbox)).attempts == 2


async def test_what_has_ended_is_not_due(database: Database, outbox: SqlCallbackOutbox) -> None:
    await ended_job(database, "a")
    await ended_job(database, "b")
    await outbox.delivered(await claimed(outbox, lease_seconds=0.0), Receipt(200))
    await outbox.give_up(await claimed(outbox, lease_seconds=0.0), FAILED)
    assert await outbox.claim(30) is None
    assert await outbox.waiting_since(0, 10) == 0


async def test_the_one_that_is_due_longest_comes_first_but_for_busy_hosts(
    database: Database, outbox: SqlCallbackOutbox
) -> None:
    for job_id, host in (("a", "slow"), ("b", "slow"), ("c", "quick")):
        await ended_job(database, job_id, f"https://{host}.example/")
    assert (await claimed(outbox, "slow.example")).job_id == "c"
    assert await outbox.claim(30, ["slow.example", "other.example"]) is None
    assert [(await claimed(outbox)).job_id for _ in range(2)] == ["a", "b"]


async def test_processes_that_claim_at_a_time_get_each_one_once(database: Database, database_url: str) -> None:
    for number in range(20):
        await ended_job(database, f"j{number}")
    others = [Database(database_url) for _ in range(3)]
    got: list[str] = []

    async def drain(outbox: SqlCallbackOutbox) -> None:
        while len(got) < 20:  # one that finds all that is due locked by others is told that there is none
            callback = await outbox.claim(30)
            got.extend([callback.id] if callback else [])

    async with asyncio.timeout(60):
        await asyncio.gather(*(drain(SqlCallbackOutbox(one)) for one in (database, *others)))
    for one in others:
        await one.close()
    assert sorted(got) == sorted({row.id for row in await stored(database)})
    assert {row.attempts for row in await stored(database)} == {1}


async def test_a_callback_that_another_process_is_claiming_is_skipped(postgres: PostgresServer) -> None:
    """SQLite has one writer at a time."""
    database = Database(postgres.ready_database())
    await database.start()
    await ended_job(database, "a")
    await ended_job(database, "b")
    async with database._writer.begin() as connection:
        await connection.execute(select(callbacks.c.id).where(callbacks.c.job_id == "a").with_for_update())
        async with asyncio.timeout(60):
            assert (await claimed(SqlCallbackOutbox(database))).job_id == "b"
    await database.close()


async def test_deleting_a_job_deletes_its_callback(database: Database, outbox: SqlCallbackOutbox) -> None:
    await ended_job(database, "a")
    await ended_job(database, "b")
    await SqlJobRepository(database).delete("a")
    assert [row.job_id for row in await stored(database)] == ["b"]


async def test_callbacks_that_wait_long_are_counted(database: Database, outbox: SqlCallbackOutbox) -> None:
    for number in range(5):
        await ended_job(database, f"j{number}")
    assert await outbox.waiting_since(60, 10) == 0
    assert await outbox.waiting_since(0, 10) == 5
    assert await outbox.waiting_since(0, 3) == 3
