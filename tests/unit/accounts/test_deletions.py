"""What a process forgets when others delete, over fakes."""

import asyncio
from collections.abc import Callable

import pytest

from src.adapters.redis.events import InProcessJobEvents
from src.domain.accounts import DeletionKind
from src.domain.errors import EngineUnavailable
from src.services.accounts import deletions
from src.services.accounts.deletions import Deletions
from src.utils.concurrency import background_task
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fake_stores import DictCache
from tests.support.waiting import until


async def process_with(cache: DictCache, bench: Bench) -> Deletions:
    """Another one of the same service, with values of two users in its memory."""
    for user in ("ann", "bob"):
        await cache.set(f"voice of {user}", b"x", 60, user)
    return Deletions(bench.deletion_rows, bench.storage, cache, InProcessJobEvents())


async def run_until(condition: Callable[[], bool], process: Deletions) -> None:
    async with background_task(process.run()):
        await until(condition)


async def test_a_process_that_no_message_reached_sees_in_the_rows_whom_to_forget() -> None:
    bench, cache = Bench(), DictCache()
    other = await process_with(cache, bench)
    await bench.deletion_rows.request(DeletionKind.USER, "ann", "ann", "ann")
    await run_until(lambda: set(cache.values) == {"voice of bob"}, other)


async def test_the_worker_of_a_deleted_job_is_told_at_once() -> None:
    bench = Bench()
    job = await bench.jobs.submit("ann", WANTED, b"bytes")
    with bench.events.listening(job.id) as wake:
        await bench.delete_job(job.id, "ann")
        async with asyncio.timeout(60):
            await wake.wait(1000)


async def test_a_process_that_cannot_see_what_was_deleted_forgets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> list[str]:
        looks.append(None)
        raise EngineUnavailable("The database is away.")

    monkeypatch.setattr(deletions, "_LOOK_SECONDS", 0.01)
    bench, cache = Bench(), DictCache()
    other = await process_with(cache, bench)
    looks: list[None] = []
    monkeypatch.setattr(bench.deletion_rows, "open_owners", away)
    await run_until(lambda: len(looks) > 2, other)
    assert len(cache.values) == 2, "for a while nothing may have been deleted"
    monkeypatch.setattr(deletions, "_BLIND_SECONDS", 0.05)
    await run_until(lambda: cache.values == {}, other)
