"""Engine calls in SQLite and in Postgres: what they have beside the leases that they share with jobs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlCallRepository
from src.domain.errors import NotFound, Overloaded
from src.domain.jobs import JobError, JobStatus
from src.domain.leases import EngineCall

LONG = 60.0


@pytest.fixture
async def calls(database_url: str) -> AsyncIterator[SqlCallRepository]:
    database = Database(database_url)
    await database.start()
    yield SqlCallRepository(database)
    await database.close()


def call(call_id: str, user_id: str = "ana") -> EngineCall:
    return EngineCall(call_id, user_id, "speak")


async def taken(calls: SqlCallRepository) -> str:
    ids = []
    while (leased := await calls.claim(LONG)) is not None:
        ids.append(leased.id)
    return " ".join(ids)


async def test_a_call_is_leased_ended_and_taken_away(calls: SqlCallRepository) -> None:
    await calls.add(call("a"), 10, LONG)
    leased = await calls.claim(LONG)
    assert leased is not None
    assert (leased.status, leased.attempts, leased.fence, leased.method) == (JobStatus.PROCESSING, 1, 1, "speak")
    assert await calls.get("a") == leased
    failed = replace(leased, status=JobStatus.FAILED, error=JobError("no_speech_detected", "Silence.", False))
    assert await calls.finish(failed)
    assert await calls.finish(failed)  # its first answer got lost
    assert not await calls.finish(replace(leased, status=JobStatus.COMPLETED))
    assert (await calls.get("a")).error == failed.error
    await calls.delete("a")
    assert not await calls.finish(failed)
    with pytest.raises(NotFound):
        await calls.get("a")


async def test_users_take_turns(calls: SqlCallRepository) -> None:
    for call_id, user in (("a1", "ana"), ("a2", "ana"), ("a3", "ana"), ("b1", "ben"), ("b2", "ben")):
        await calls.add(call(call_id, user), 10, LONG)
    assert await taken(calls) == "a1 b1 a2 b2 a3"


async def test_a_full_queue_refuses_more(calls: SqlCallRepository) -> None:
    await calls.add(call("a"), 1, LONG)
    with pytest.raises(Overloaded) as refusal:
        await calls.add(call("b"), 1, LONG)
    assert refusal.value.retry_after_seconds


async def test_a_stale_fence_writes_nothing(calls: SqlCallRepository) -> None:
    await calls.add(call("a"), 10, LONG)
    stale = await calls.claim(0.0)
    assert stale is not None
    await asyncio.sleep(0.01)
    assert await calls.requeue_expired(3) == ["a"]
    fresh = await calls.claim(LONG)
    assert fresh is not None
    assert fresh.result_key != stale.result_key
    assert not await calls.finish(replace(stale, status=JobStatus.COMPLETED))
    assert await calls.renew({"a": stale.fence}, LONG) == set()
    assert await calls.finish(replace(fresh, status=JobStatus.COMPLETED))


async def test_what_nobody_waits_for_any_more_is_not_begun(calls: SqlCallRepository) -> None:
    await calls.add(call("late"), 10, 0.0)
    await calls.add(call("in-time"), 10, LONG)
    await asyncio.sleep(0.01)
    assert await taken(calls) == "in-time"
    assert [row.id for row in await calls.overdue()] == ["late"]
