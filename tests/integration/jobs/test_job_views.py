"""Lists of a user's jobs, and the line they wait in, in SQLite and in Postgres."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository, SqlJobViews
from src.domain.jobs import Job, JobError, JobStatus, Pace, Place, Priority
from tests.support.job_rows import MANY, RESULT, USED, job

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def jobs(database: Database) -> SqlJobRepository:
    return SqlJobRepository(database)


@pytest.fixture
def views(database: Database) -> SqlJobViews:
    return SqlJobViews(database)


async def added(jobs: SqlJobRepository, job_id: str, seconds: float = 0.0, **fields: Any) -> Job:
    """A job of that many seconds after noon."""
    new = job(job_id, created_at=NOON + timedelta(seconds=seconds), **fields)
    await jobs.add(new, MANY)
    return new


def ids(found: list[Job]) -> str:
    return " ".join(each.id for each in found)


async def test_jobs_of_one_moment_have_an_order_too(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    for job_id, seconds in (("c", 0), ("a", 0), ("late", 0.000001), ("b", 0), ("early", -0.000001)):
        await added(jobs, job_id, seconds)
    assert ids(await views.of_user("ana", 10)) == "late c b a early"
    assert ids(await views.of_user("ana", 2)) == "late c"
    for after, rest in (("late", "c b a early"), ("c", "b a early"), ("b", "a early"), ("early", "")):
        place = Place.of(await jobs.get(after))
        assert ids(await views.of_user("ana", 10, place)) == rest


async def test_a_place_stays_when_its_job_is_gone(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    for number in range(5):
        await added(jobs, str(number), number)
    place = Place.of(await jobs.get("2"))
    await jobs.delete("2")
    await added(jobs, "new", 100)
    assert ids(await views.of_user("ana", 10, place)) == "1 0"


async def test_nobody_sees_the_jobs_of_others(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    await jobs.add(job("a", "ana"), MANY)
    await jobs.add(job("b", "ben"), MANY)
    assert ids(await views.of_user("ana", 10)) == "a"
    assert ids(await views.of_user("ben", 10, Place(NOON + timedelta(days=9999), "z"))) == "b"
    assert ids(await views.of_user("ben", 10, statuses=frozenset({JobStatus.PENDING}))) == "b"
    assert await views.of_user("nobody", 10) == []


async def test_jobs_in_some_states_are_listed_in_the_same_order(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    states = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.PENDING, JobStatus.PROCESSING]
    for number in range(12):
        await added(jobs, f"{number:02}", number, status=states[number % 4])

    async def listed(*statuses: JobStatus, after: Place | None = None, most: int = 20) -> str:
        return ids(await views.of_user("ana", most, after, frozenset(statuses)))

    assert await listed(JobStatus.FAILED) == "09 05 01"
    assert await listed(JobStatus.COMPLETED, JobStatus.PENDING) == "10 08 06 04 02 00"
    assert await listed(JobStatus.COMPLETED, JobStatus.PENDING, most=4) == "10 08 06 04"
    assert await listed(*states[:3], after=Place.of(await jobs.get("06")), most=3) == "05 04 02"
    assert await listed(*states) == await listed() == " ".join(f"{number:02}" for number in reversed(range(12)))


async def test_a_listed_job_is_the_job(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    await added(jobs, "a")
    one = [await jobs.get("a")]
    assert await views.of_user("ana", 1) == one
    assert await views.of_user("ana", 1, statuses=frozenset({JobStatus.PENDING, JobStatus.FAILED})) == one


async def test_the_position_is_the_order_in_which_jobs_are_claimed(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    users, levels = ("ana", "ben", "cleo"), (Priority.INTERACTIVE, Priority.BATCH)
    for number in range(18):
        await added(jobs, str(number), number, user_id=users[number % 7 % 3], priority=levels[number % 5 % 2])
    waiting = {str(number) for number in range(18)}
    places = {job_id: await views.ahead_of(job_id, 100) for job_id in waiting}
    assert sorted(places.values()) == list(range(18))
    for place in range(18):
        taken = await jobs.claim(60)
        assert taken is not None
        assert places[taken.id] == place
        waiting.remove(taken.id)
        assert {await views.ahead_of(job_id, 100) for job_id in waiting} == set(range(17 - place))


async def test_only_so_many_are_counted_and_only_those_that_wait(jobs: SqlJobRepository, views: SqlJobViews) -> None:
    for number in range(6):
        await added(jobs, str(number), number)
    assert await views.ahead_of("5", 100) == 5
    assert await views.ahead_of("5", 3) == 3
    await jobs.claim(60)
    await jobs.delete("1")
    assert await views.ahead_of("5", 100) == 3
    assert await views.ahead_of("no such job", 100) == 0


async def test_the_pace_is_that_of_the_last_jobs_and_of_those_that_run(
    jobs: SqlJobRepository, views: SqlJobViews
) -> None:
    assert await views.pace() == Pace(None, 0)
    for number in range(25):  # the first five took long
        await added(jobs, str(number), number)
        leased = await jobs.claim(60)
        assert leased is not None
        spoken = replace(RESULT, processing_time_ms=60_000.0 if number < 5 else 1_000.0 + 100.0 * (number % 2))
        ended = NOON + timedelta(hours=1, seconds=number)
        await jobs.finish(replace(leased, status=JobStatus.COMPLETED, result=spoken, updated_at=ended), USED)
    for job_id in ("failed", "runs", "runs, too", "waits"):
        await added(jobs, job_id, 100)
    for _ in range(3):
        leased = await jobs.claim(60)
        assert leased is not None
        if leased.id == "failed":
            error = JobError("engine_unavailable", "It is gone.", retryable=True)
            await jobs.finish(replace(leased, status=JobStatus.FAILED, error=error), USED)
    pace = await views.pace()
    assert pace.mean_seconds == pytest.approx(1.05)
    assert pace.running == 2
