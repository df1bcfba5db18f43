"""Idempotency keys on both databases: one of many wins, for as long as it is at work, and its answer stays."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from src.adapters.database.engine import Database
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.tables import idempotency_keys, translation_jobs
from src.domain.errors import IdempotencyConflict, IdempotencyMismatch, Overloaded
from src.domain.jobs import Job
from src.domain.repositories import Claim, IdempotencyStore
from tests.fakes.assembly import WANTED, Bench
from tests.servers.postgres import PostgresServer


@dataclass
class Clock:
    time: datetime = field(default=datetime(2026, 3, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(database: Database, clock: Clock) -> IdempotencyStore:
    return SqlIdempotencyStore(database, ttl_seconds=86_400, claim_ttl_seconds=60, clock=clock)


def claim(fingerprint: str = "body", key: str = "key", user: str = "ana") -> Claim:
    return Claim(user, key, fingerprint)


async def claimed(keys: IdempotencyStore, fingerprint: str = "body") -> Claim:
    mine = claim(fingerprint)
    assert await keys.claim(mine) is None
    return mine


async def test_one_of_200_concurrent_claims_wins(database: Database, database_url: str) -> None:
    other = Database(database_url)
    stores = [SqlIdempotencyStore(database, 60), SqlIdempotencyStore(other, 60)]
    claims = (stores[number % 2].claim(claim()) for number in range(200))
    answers = await asyncio.gather(*claims, return_exceptions=True)
    await other.close()
    assert answers.count(None) == 1
    assert sum(isinstance(answer, IdempotencyConflict) for answer in answers) == 199


async def test_completed_key_answers_with_the_first_value(keys: IdempotencyStore) -> None:
    first = await claimed(keys)
    await keys.complete(first, "job-1")
    assert await keys.claim(claim()) == "job-1"
    await keys.release(first)
    assert await keys.claim(claim()) == "job-1"


async def test_a_step_that_is_repeated_when_its_answer_was_lost_changes_nothing(keys: IdempotencyStore) -> None:
    mine = await claimed(keys)
    assert await keys.claim(mine) is None
    await keys.complete(mine, "job-1")
    await keys.complete(mine, "job-1")
    assert await keys.claim(claim()) == "job-1"


async def test_key_belongs_to_one_user(keys: IdempotencyStore) -> None:
    await claimed(keys)
    assert await keys.claim(claim("other body", user="bob")) is None
    assert await keys.claim(claim(key="k" * 5000 + "é\0")) is None


@pytest.mark.parametrize("completed", [False, True])
async def test_another_body_is_refused(keys: IdempotencyStore, completed: bool) -> None:
    first = await claimed(keys)
    if completed:
        await keys.complete(first, "job-1")
    with pytest.raises(IdempotencyMismatch):
        await keys.claim(claim("other body"))


async def test_released_key_is_free(keys: IdempotencyStore) -> None:
    first = await claimed(keys)
    await keys.release(first)
    await keys.release(first)
    await claimed(keys, "other body")


async def test_claim_of_a_process_that_died_falls_soon(keys: IdempotencyStore, clock: Clock) -> None:
    await claimed(keys)
    clock.advance(59)
    with pytest.raises(IdempotencyConflict):
        await keys.claim(claim())
    clock.advance(1)
    answers = await asyncio.gather(*(keys.claim(claim("new body")) for _ in range(20)), return_exceptions=True)
    assert answers.count(None) == 1


async def test_renewed_claim_stands(keys: IdempotencyStore, clock: Clock) -> None:
    first = await claimed(keys)
    for _ in range(5):
        clock.advance(50)
        assert await keys.renew(first)
    with pytest.raises(IdempotencyConflict):
        await keys.claim(claim())


async def test_a_lost_claim_cannot_complete_the_next_one(keys: IdempotencyStore, clock: Clock) -> None:
    slow = await claimed(keys)
    clock.advance(60)
    second = await claimed(keys)
    assert not await keys.renew(slow)
    await keys.release(slow)
    with pytest.raises(IdempotencyConflict):
        await keys.complete(slow, "job-1")
    await keys.complete(second, "job-2")
    with pytest.raises(IdempotencyConflict):
        await keys.complete(slow, "job-1")
    assert await keys.claim(claim()) == "job-2"


async def test_completed_key_is_kept_for_a_day(keys: IdempotencyStore, clock: Clock) -> None:
    await keys.complete(await claimed(keys), "job-1")
    clock.advance(86_399)
    assert await keys.claim(claim()) == "job-1"
    clock.advance(1)
    await claimed(keys, "other body")


async def test_expired_keys_are_deleted_by_later_claims(
    keys: IdempotencyStore, clock: Clock, database: Database
) -> None:
    kept = claim(key="key 0")
    for one in (kept, *(claim(key=f"key {number}") for number in range(1, 10))):
        await keys.claim(one)
    await keys.complete(kept, "job-0")
    clock.advance(3600)
    await keys.claim(claim(key="new"))
    assert (await database.read(select(func.count()).select_from(idempotency_keys)))[0][0] == 2


# --- many submits at once, of a client that repeats itself


async def submit_until_accepted(bench: Bench) -> Job:
    """As a client does: told that the first request is at work, or the service busy, it sends its own again."""
    for _ in range(200):
        try:
            return await bench.jobs.submit_once("ana", "key", "body", WANTED, b"audio")
        except (IdempotencyConflict, Overloaded):
            await asyncio.sleep(0.2)
    raise AssertionError("the first request never ended")


async def submit_at_once(url: str, many: int) -> tuple[set[str], int]:
    """The ids that `many` clients of two processes end with, and how many jobs there are."""
    databases = [Database(url, timeout_seconds=60), Database(url, timeout_seconds=60)]
    await databases[0].start()
    stores = [(SqlJobRepository(one), SqlIdempotencyStore(one, 60)) for one in databases]
    benches = [Bench(rows=rows, idempotency=keys) for rows, keys in stores]  # type: ignore[arg-type]  # not fakes
    jobs = await asyncio.gather(*(submit_until_accepted(benches[number % 2]) for number in range(many)))
    count = (await databases[0].read(select(func.count()).select_from(translation_jobs)))[0][0]
    for one in databases:
        await one.close()
    assert sum(len(bench.storage.files) for bench in benches) == 1
    return {job.id for job in jobs}, count


async def test_200_concurrent_submits_with_one_key_make_one_job(postgres: PostgresServer) -> None:
    ids, count = await submit_at_once(postgres.ready_database(), 200)
    assert (len(ids), count) == (1, 1)


async def test_concurrent_submits_with_one_key_make_one_job_in_sqlite(tmp_path: Path) -> None:
    ids, count = await submit_at_once(f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}", 100)
    assert (len(ids), count) == (1, 1)
