"""Who may do a job, and in which order, in SQLite and in Postgres: one worker at a time, users in turn."""

import asyncio
from dataclasses import replace

import pytest

from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.domain.errors import Overloaded
from src.domain.jobs import Job, JobStatus, Priority, Stage
from tests.support.job_rows import MANY, USED, ids_with, job

SHORT = 0.05
LONG = 60.0


@pytest.fixture
def jobs(database: Database) -> SqlJobRepository:
    return SqlJobRepository(database)


async def claimed(jobs: SqlJobRepository, lease_seconds: float = LONG) -> Job:
    found = await jobs.claim(lease_seconds)
    assert found is not None
    return found


def completed(leased: Job) -> Job:
    return replace(leased, status=JobStatus.COMPLETED, stage=None)


async def order(jobs: SqlJobRepository) -> str:
    """The ids of all that wait, as workers take them."""
    taken = []
    while (leased := await jobs.claim(LONG)) is not None:
        taken.append(leased.id)
    return " ".join(taken)


async def test_a_claim_leases_the_job_and_counts_the_attempt(jobs: SqlJobRepository) -> None:
    await jobs.add(job("a"), MANY)
    leased = await claimed(jobs)
    assert (leased.id, leased.status, leased.attempts, leased.fence) == ("a", JobStatus.PROCESSING, 1, 1)
    assert await jobs.get("a") == leased
    assert await jobs.claim(LONG) is None


async def test_many_workers_take_each_job_once(jobs: SqlJobRepository) -> None:
    for number in range(40):
        await jobs.add(job(str(number)), MANY)
    taken = [found.id for found in await asyncio.gather(*(jobs.claim(LONG) for _ in range(60))) if found]
    taken += (await order(jobs)).split()  # those that were passed over, as somebody was just taking them
    assert sorted(taken, key=int) == [str(number) for number in range(40)]


async def test_users_take_turns_however_many_jobs_each_has(jobs: SqlJobRepository) -> None:
    for job_id in ("a1", "a2", "a3", "a4"):
        await jobs.add(job(job_id, "ana"), MANY)
    assert (await claimed(jobs)).id == "a1"
    for job_id, user in (("b1", "ben"), ("b2", "ben"), ("c1", "cleo")):
        await jobs.add(job(job_id, user), MANY)
    assert await order(jobs) == "a2 b1 c1 a3 b2 a4"


async def test_a_user_who_was_idle_gets_no_extra_turns(jobs: SqlJobRepository) -> None:
    for number in range(6):
        await jobs.add(job(f"a{number}", "ana"), MANY)
    for _ in range(4):
        await claimed(jobs)
    for job_id in ("b1", "b2"):
        await jobs.add(job(job_id, "ben"), MANY)
    assert await order(jobs) == "a4 b1 a5 b2"


async def test_interactive_jobs_go_before_batches(jobs: SqlJobRepository) -> None:
    await jobs.add(job("batch1", priority=Priority.BATCH), MANY)
    await jobs.add(job("batch2", "ben", priority=Priority.BATCH), MANY)
    await jobs.add(job("now1"), MANY)
    await jobs.add(job("now2"), MANY)
    assert await order(jobs) == "now1 now2 batch1 batch2"


async def test_a_full_queue_refuses_more(jobs: SqlJobRepository, database: Database) -> None:
    await jobs.add(job("a"), 2)
    await jobs.add(job("b"), 2)
    with pytest.raises(Overloaded) as refusal:
        await jobs.add(job("c"), 2)
    assert refusal.value.retry_after_seconds
    await claimed(jobs)
    await jobs.add(job("c"), 2)
    assert await ids_with(database, JobStatus.PENDING) == ["b", "c"]
    assert await jobs.counts() == (2, 1)


async def test_a_run_out_lease_puts_the_job_back_and_the_old_fence_writes_nothing(jobs: SqlJobRepository) -> None:
    await jobs.add(job("a"), MANY)
    stale = await claimed(jobs, SHORT)
    await asyncio.sleep(2 * SHORT)
    assert await jobs.requeue_expired(3) == ["a"]
    fresh = await claimed(jobs)
    assert (fresh.fence, fresh.attempts) == (2, 2)

    await jobs.save_stage(stale, Stage.TRANSLATION)
    assert not await jobs.finish(completed(stale), USED)
    await jobs.give_back(stale)
    assert await jobs.renew({"a": stale.fence}, LONG) == set()
    assert await jobs.get("a") == fresh
    assert await jobs.finish(completed(fresh), USED)


async def test_a_late_worker_keeps_its_job_while_nobody_took_it(jobs: SqlJobRepository) -> None:
    """Its database was away for longer than the lease; its work is not thrown away."""
    await jobs.add(job("a"), MANY)
    await jobs.add(job("b"), MANY)
    late = await claimed(jobs, SHORT), await claimed(jobs, SHORT)
    await asyncio.sleep(2 * SHORT)
    assert sorted(await jobs.requeue_expired(3)) == ["a", "b"]
    assert await jobs.renew({"a": 1}, LONG) == {"a"}
    assert await jobs.finish(completed(late[1]), USED)
    assert await jobs.claim(LONG) is None
    assert (await jobs.get("a")).status is JobStatus.PROCESSING


async def test_renewed_leases_do_not_run_out(jobs: SqlJobRepository) -> None:
    await jobs.add(job("a"), MANY)
    leased = await claimed(jobs, SHORT)
    assert await jobs.renew({"a": leased.fence, "unknown": 1}, LONG) == {"a"}
    await asyncio.sleep(2 * SHORT)
    assert await jobs.requeue_expired(3) == []


async def test_a_job_that_was_begun_too_often_stays_for_who_ends_it(jobs: SqlJobRepository) -> None:
    await jobs.add(job("a"), MANY)
    last = await claimed(jobs, SHORT)
    await asyncio.sleep(2 * SHORT)
    assert await jobs.requeue_expired(1) == []
    (spent,) = await jobs.claim_spent(1, LONG)
    assert (spent.attempts, spent.fence) == (1, 2)
    assert await jobs.claim_spent(1, LONG) == []
    assert not await jobs.finish(completed(last), USED)


async def test_a_job_that_is_given_back_keeps_its_place_and_its_attempts(jobs: SqlJobRepository) -> None:
    for job_id in ("a", "b"):
        await jobs.add(job(job_id), MANY)
    await jobs.give_back(await claimed(jobs))
    again = await claimed(jobs)
    assert (again.id, again.attempts, again.fence) == ("a", 1, 2)


async def test_an_end_is_written_once_and_counted_once(jobs: SqlJobRepository, database: Database) -> None:
    await jobs.add(job("a"), MANY)
    leased = await claimed(jobs)
    assert await jobs.finish(completed(leased), USED)
    assert await jobs.finish(completed(leased), USED)  # its first answer got lost
    assert not await jobs.finish(replace(leased, status=JobStatus.FAILED), USED)
    assert (await jobs.get("a")).status is JobStatus.COMPLETED
    (day,) = await SqlUsageRepository(database).by_day("ana", 1)
    assert day.requests == 1


async def test_a_claim_may_leave_those_that_were_begun_often(jobs: SqlJobRepository) -> None:
    for job_id in ("begun", "new"):
        await jobs.add(job(job_id), MANY)
    await claimed(jobs, SHORT)
    await asyncio.sleep(2 * SHORT)
    await jobs.requeue_expired(3)
    leased = await jobs.claim(LONG, begun_below=1)
    assert leased is not None
    assert leased.id == "new"
    assert await jobs.claim(LONG, begun_below=1) is None
    assert (await claimed(jobs)).id == "begun"


async def test_a_request_to_cancel_is_seen_by_whoever_has_the_job(jobs: SqlJobRepository) -> None:
    await jobs.add(job("a"), MANY)
    leased = await claimed(jobs)
    await jobs.request_cancel("a")
    assert (await jobs.get("a")).cancel_requested
    await jobs.give_back(leased)
    assert (await claimed(jobs)).cancel_requested


async def test_workers_and_upkeep_at_the_same_time_end_every_job_once(
    jobs: SqlJobRepository, database: Database
) -> None:
    """Leases so short that they run out while the work is done: jobs change hands all the time."""
    for number in range(30):
        await jobs.add(job(str(number), f"user{number % 3}"), MANY)

    async def work() -> int:
        ended = 0
        while len(await ids_with(database, JobStatus.COMPLETED)) < 30:
            if (leased := await jobs.claim(0.02)) is not None:
                await asyncio.sleep(0 if leased.attempts > 1 else 0.03)
                ended += await jobs.finish(completed(leased), USED)
        return ended

    async def upkeep() -> None:
        while True:
            await jobs.requeue_expired(MANY)
            await asyncio.sleep(0.01)

    keeping = asyncio.create_task(upkeep())
    async with asyncio.timeout(60):
        ended = sum(await asyncio.gather(*(work() for _ in range(6))))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert ended == 30
    (day,) = await SqlUsageRepository(database).by_day("ana", 1)
    assert day.requests == 30
