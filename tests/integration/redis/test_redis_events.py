"""Waiting for a job that another process ends: woken through a real Redis, and found in the row without it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from src.adapters.redis.cache import RedisCache
from src.adapters.redis.events import InProcessJobEvents, RedisJobEvents
from src.adapters.redis.link import RedisLink
from src.domain.audio import Audio
from src.domain.jobs import Job, JobStatus, UsageEvent
from src.domain.ports import Cache, JobEvents
from src.domain.speech import Segment, Transcript
from src.services.interpreting import Heard, Spoken
from src.services.jobs.ending import JobEnding
from src.services.jobs.jobs import Jobs
from src.services.jobs.trail import Sound, Step, Texts, Trails
from src.services.voice_cloning import Speech
from tests.fakes.assembly import WANTED
from tests.fakes.fake_stores import DictCache, ListQueue, MemoryIdempotency, MemoryJobs, MemoryStorage
from tests.integration.redis.test_redis_link import linked
from tests.servers.proxy import NO_FAULT, Fault, FaultyProxy
from tests.servers.redis import RedisServer
from tests.support.job_rows import MANY
from tests.support.waiting import until

USED = UsageEvent("ann", "translate", "completed")
NEVER = 1000.0  # seconds between looks at the row that no test lasts


@asynccontextmanager
async def subscribed(url: str, poll: float = 0.1) -> AsyncIterator[tuple[RedisJobEvents, RedisLink]]:
    """What one process of the service has."""
    async with linked(url) as link:
        events = RedisJobEvents(
            link, patience_seconds=NEVER, poll_seconds=poll, silence_seconds=0.5, retry_seconds=0.05
        )
        await events.start()
        try:
            await until(lambda: events._subscribed)
            yield events, link
        finally:
            await events.close()


def job(job_id: str = "one") -> Job:
    return Job(job_id, "ann", WANTED, input_key=f"inputs/{job_id}.wav")


def jobs_of(rows: MemoryJobs, events: JobEvents, cache: Cache | None = None) -> Jobs:
    storage = MemoryStorage()
    ending, trails = JobEnding(rows, events, storage), Trails(cache or DictCache(), events)
    return Jobs(rows, ListQueue(), events, storage, MemoryIdempotency(), ending, trails, most_waiting=MANY)


async def end(rows: MemoryJobs, events: JobEvents | None, job_id: str = "one") -> None:
    await rows.finish(replace(await rows.get(job_id), status=JobStatus.COMPLETED), USED)
    if events is not None:
        await events.publish(job_id)


async def waiting(rows: MemoryJobs, events: JobEvents, job_id: str = "one", seconds: float = 30.0) -> asyncio.Task[Job]:
    task = asyncio.create_task(jobs_of(rows, events).wait(job_id, seconds))
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


async def rows_of(*job_ids: str) -> MemoryJobs:
    rows = MemoryJobs()
    for job_id in job_ids:
        await rows.add(job(job_id), MANY)
    return rows


async def test_in_one_process_the_end_wakes_only_those_who_wait_for_it() -> None:
    rows, events = await rows_of("one", "two"), InProcessJobEvents()
    both = [await waiting(rows, events), await waiting(rows, events)]
    other = await waiting(rows, events, "two")
    await end(rows, events)
    assert [each.status for each in await asyncio.wait_for(asyncio.gather(*both), 60)] == [JobStatus.COMPLETED] * 2
    assert not other.done()
    await end(rows, events, "two")
    await asyncio.wait_for(other, 60)
    assert events._listeners == {}


async def test_an_end_between_the_look_and_the_wait_is_heard() -> None:
    """The job ends while its row is being read for the first time; the reader got the state before."""
    events = InProcessJobEvents()

    class SlowRows(MemoryJobs):
        async def get(self, job_id: str, user_id: str | None = None) -> Job:
            seen = await super().get(job_id, user_id)
            if not seen.ended:
                await self.finish(replace(seen, status=JobStatus.COMPLETED), USED)
                await events.publish(job_id)
            return seen

    rows = SlowRows()
    await rows.add(job(), MANY)
    assert (await asyncio.wait_for(jobs_of(rows, events).wait("one", 30), 5)).ended


async def test_a_wait_ends_at_its_deadline_with_the_job_as_it_is() -> None:
    rows = await rows_of("one")
    began = time.monotonic()
    seen = await asyncio.wait_for(jobs_of(rows, InProcessJobEvents()).wait("one", 0.1), 5)
    assert seen.status is JobStatus.PENDING
    assert time.monotonic() - began >= 0.1


async def test_what_another_process_has_done_of_a_job_is_told_before_it_ends(redis_server: RedisServer) -> None:
    rows = await rows_of("one")
    running = await rows.claim(30.0)
    assert running is not None
    transcript = Transcript((Segment("good morning", 0.0, 1.0),), "en", None, 0.9)
    audio = Audio(np.full(6 * 24_000, 0.5, np.float32), 24_000)
    async with subscribed(redis_server.url) as (here, link), subscribed(redis_server.url) as (there, other):
        trail = Trails(RedisCache(other), there).of(running)
        await trail.tell(Heard(transcript))  # before anybody watches
        watching = jobs_of(rows, here, RedisCache(link)).watch("one", "ann", asyncio.Event())
        seen = [await asyncio.wait_for(anext(watching), 60)]
        following = asyncio.create_task(_three(watching))
        await trail.tell(Spoken(Speech(audio, ("buenos días",))))
        seen += await asyncio.wait_for(following, 60)
        await end(rows, there)
        assert [type(each) for each in seen] == [Job, Texts, Sound, Sound]
        assert seen[1] == Texts("transcript", ((0.0, 1.0, "good morning"),), "en")
        assert [(len(each.pcm), each.text) for each in seen if isinstance(each, Sound)] == [
            (240_000, "buenos días"),
            (48_000, ""),
        ]
        assert [each.status async for each in watching if isinstance(each, Job)] == [JobStatus.COMPLETED]


async def _three(watching: AsyncIterator[Job | Step]) -> list[Job | Step]:
    return [await anext(watching) for _ in range(3)]


async def test_a_job_that_ends_in_another_process_wakes_at_once(redis_server: RedisServer) -> None:
    rows = await rows_of("one")
    async with subscribed(redis_server.url) as (waiter, _), subscribed(redis_server.url) as (worker, _):
        task = await waiting(rows, waiter)
        await end(rows, worker)
        assert (await asyncio.wait_for(task, 60)).ended


async def test_a_stopped_redis_is_replaced_by_looking_at_the_row(redis_server: RedisServer) -> None:
    rows = await rows_of("one", "two")
    async with subscribed(redis_server.url) as (waiter, _), subscribed(redis_server.url) as (worker, there):
        first = await waiting(rows, waiter)
        await asyncio.to_thread(redis_server.stop)
        await end(rows, worker)
        assert (await asyncio.wait_for(first, 60)).ended
        second = await waiting(rows, waiter, "two")
        await asyncio.to_thread(redis_server.start)
        await until(lambda: waiter._subscribed and there.up)
        await end(rows, worker, "two")
        assert (await asyncio.wait_for(second, 60)).ended


async def test_an_end_that_nobody_could_hear_is_found_when_the_subscription_is_back(redis_server: RedisServer) -> None:
    rows = await rows_of("one")
    with FaultyProxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with subscribed(url, poll=NEVER) as (waiter, _), subscribed(redis_server.url) as (worker, _):
            task = await waiting(rows, waiter)
            proxy.fault = Fault(reset_after=0)
            proxy.cut()
            await until(lambda: not waiter._subscribed)
            await asyncio.sleep(0.2)  # it has looked at the row after the loss
            await end(rows, worker)
            proxy.fault = NO_FAULT
            assert (await asyncio.wait_for(task, 60)).ended


async def test_a_subscription_that_falls_silent_is_given_up(redis_server: RedisServer) -> None:
    rows = await rows_of("one")
    with FaultyProxy(redis_server.port) as proxy:
        async with subscribed(f"redis://127.0.0.1:{proxy.port}") as (waiter, _):
            await asyncio.sleep(1)
            assert waiter._subscribed, "silence alone is no loss: nothing ended"
            task = await waiting(rows, waiter)
            proxy.fault = Fault(blackhole=True)
            await until(lambda: not waiter._subscribed)
            await end(rows, None)
            assert (await asyncio.wait_for(task, 60)).ended
            proxy.fault = NO_FAULT
            await until(lambda: waiter._subscribed)
