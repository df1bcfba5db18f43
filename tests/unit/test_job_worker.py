import asyncio

import pytest

from src.workers.job_worker import JobWorker


class _Queue:
    def __init__(self) -> None:
        self.ids: asyncio.Queue[str] = asyncio.Queue()

    def put(self, job_id: str, user_id: str) -> None:
        self.ids.put_nowait(job_id)

    async def take(self) -> str:
        return await self.ids.get()

    def __len__(self) -> int:
        return self.ids.qsize()


async def _until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0)


async def test_at_most_so_many_jobs_run_at_once() -> None:
    queue, running, most, release = _Queue(), 0, 0, asyncio.Event()

    async def execute(_: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    worker = JobWorker(queue, execute, concurrency=2)
    worker.start()
    for number in range(5):
        queue.put(str(number), "user")
    await _until(lambda: worker.running == 2)
    release.set()
    await _until(lambda: worker.running == 0 and len(queue) == 0)
    await worker.close(1)
    assert most == 2


async def test_a_handler_that_raises_does_not_stop_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    queue, done = _Queue(), list[str]()

    async def execute(job_id: str) -> None:
        if job_id == "bad":
            raise RuntimeError("defect")
        done.append(job_id)

    worker = JobWorker(queue, execute, concurrency=1)
    worker.start()
    queue.put("bad", "user")
    queue.put("good", "user")
    await _until(lambda: done == ["good"])
    assert worker.alive
    assert "bad" in caplog.text
    await worker.close(1)
    assert not worker.alive


async def test_closing_waits_for_the_grace_time_then_cancels() -> None:
    queue, cancelled = _Queue(), list[str]()

    async def execute(job_id: str) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(job_id)
            raise

    worker = JobWorker(queue, execute, concurrency=1)
    worker.start()
    queue.put("long", "user")
    await _until(lambda: worker.running == 1)
    await asyncio.wait_for(worker.close(0.1), 2)
    assert cancelled == ["long"]
