"""The queue in this process: in order, bounded, and safe to stop waiting on."""

import asyncio

import pytest

from src.adapters.queue.in_process import InProcessQueue
from src.domain.errors import Overloaded
from src.domain.ports import JobQueue


async def test_first_in_is_first_out() -> None:
    queue: JobQueue = InProcessQueue(3)
    for job_id in ("a", "b", "c"):
        queue.put(job_id)
    assert len(queue) == 3
    assert [await queue.take() for _ in range(3)] == ["a", "b", "c"]
    assert len(queue) == 0


async def test_full_queue_refuses_and_says_when_to_try_again() -> None:
    queue = InProcessQueue(2)
    queue.put("a")
    queue.put("b")
    with pytest.raises(Overloaded) as refusal:
        queue.put("c")
    assert refusal.value.retry_after_seconds is not None
    assert refusal.value.retry_after_seconds > 0
    assert await queue.take() == "a"
    queue.put("c")
    assert len(queue) == 2


async def test_take_waits_for_a_put() -> None:
    queue = InProcessQueue(1)
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    assert not taker.done()
    queue.put("a")
    assert await asyncio.wait_for(taker, 1) == "a"


async def test_cancelled_take_loses_nothing() -> None:
    queue = InProcessQueue(1)
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    queue.put("a")
    taker.cancel()  # in the same turn of the loop: the id has not been handed over
    await asyncio.gather(taker, return_exceptions=True)
    assert await asyncio.wait_for(queue.take(), 1) == "a"


def test_a_queue_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        InProcessQueue(0)
