import asyncio
from collections import deque

import pytest

from src.domain.errors import EngineUnavailable
from src.workers.job_worker import JobWorker
from tests.support.waiting import until


class Line:
    """Jobs that wait, and those that run, until they are released."""

    def __init__(self, *jobs: str) -> None:
        self.waiting = deque(jobs)
        self.running: set[str] = set()
        self.done: list[str] = []
        self.cancelled: list[str] = []
        self.most = 0
        self.claims = 0
        self.release = asyncio.Event()
        self.away = False

    async def claim(self) -> str | None:
        self.claims += 1
        found = self.waiting.popleft() if self.waiting else None
        await asyncio.sleep(0)  # the answer of a database is of before it arrives
        if self.away:
            raise EngineUnavailable("The database does not answer.")
        return found

    async def run(self, job: str) -> None:
        if job == "bad":
            raise RuntimeError("what was " + "said")
        self.running.add(job)
        self.most = max(self.most, len(self.running))
        try:
            await self.release.wait()
            self.done.append(job)
        except asyncio.CancelledError:
            self.cancelled.append(job)
            raise
        finally:
            self.running.discard(job)

    def worker(self, concurrency: int, patience: float = 60.0) -> JobWorker[str]:
        worker = JobWorker(self.claim, self.run, concurrency, lambda: patience)
        worker.start()
        return worker


async def test_all_that_wait_are_done_so_many_at_a_time() -> None:
    line = Line(*"abcde")
    worker = line.worker(2)
    await until(lambda: worker.running == 2)
    line.release.set()
    await until(lambda: len(line.done) == 5)
    await worker.close(1)
    assert line.most == 2
    assert worker.running == 0


async def test_a_wakeup_while_the_worker_looks_makes_it_look_again() -> None:
    line = Line()
    line.release.set()
    worker = line.worker(1)
    while not line.claims:
        await asyncio.sleep(0)
    line.waiting.append("late")  # the slot has looked already, and has not gone to rest
    await worker.put("late")
    await until(lambda: line.done == ["late"])
    await worker.close(1)


async def test_a_lost_wake_up_costs_no_more_than_its_patience() -> None:
    line = Line()
    line.release.set()
    worker = line.worker(1, patience=0.05)
    await asyncio.sleep(0.1)
    line.waiting.append("unheard")
    await until(lambda: line.done == ["unheard"])
    await worker.close(1)


async def test_it_goes_on_after_a_time_without_its_database(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()
    line.release.set()
    line.away = True
    worker = line.worker(1, patience=0.05)
    await until(lambda: line.claims > 1)
    line.away = False
    line.waiting.append("a")
    await until(lambda: line.done == ["a"])
    assert worker.alive
    assert "engine_unavailable" in caplog.text
    await worker.close(1)


async def test_a_handler_that_raises_does_not_stop_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    line = Line("bad", "good")
    line.release.set()
    worker = line.worker(1)
    await until(lambda: line.done == ["good"])
    assert worker.alive
    assert "RuntimeError" in caplog.text
    assert "what was said" not in caplog.text
    await worker.close(1)
    assert not worker.alive


async def test_serving_a_message_lasts_until_nothing_waits() -> None:
    line = Line()
    worker = line.worker(1)
    await until(lambda: line.claims > 0)
    await asyncio.sleep(0.02)
    line.waiting.extend("ab")
    serving = asyncio.create_task(worker.serve())
    await until(lambda: worker.running == 1)
    another = asyncio.create_task(worker.serve())
    await asyncio.sleep(0.02)
    assert not serving.done()
    assert not another.done()
    line.release.set()
    assert await serving
    assert await another
    assert line.done == ["a", "b"]
    await worker.close(1)
    assert not await worker.serve()


async def test_closing_waits_for_the_grace_time_then_cancels() -> None:
    line = Line("long", "next")
    worker = line.worker(1)
    await until(lambda: worker.running == 1)
    await worker.close(0.1)
    assert line.cancelled == ["long"]
    assert list(line.waiting) == ["next"]


async def test_closing_lets_a_job_end_within_the_grace_time() -> None:
    line = Line("short", "next")
    worker = line.worker(1)
    await until(lambda: worker.running == 1)
    closing = asyncio.create_task(worker.close(5))
    await asyncio.sleep(0.02)
    line.release.set()
    await closing
    assert line.done == ["short"]
    assert list(line.waiting) == ["next"]
