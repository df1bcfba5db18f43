"""The queue in this process: in order, bounded, and safe to stop waiting on."""

import asyncio

import pytest

from src.adapters.queue.in_process import InProcessQueue
from src.domain.errors import Overloaded
from src.domain.ports import JobQueue


async def test_first_in_is_first_out() -> None:
    queue: JobQueue = InProcessQueue(3)
    for job_id in ("a", "b", "c"):
        queue.put(job_id, "user")
    assert len(queue) == 3
    assert [await queue.take() for _ in range(3)] == ["a", "b", "c"]
    assert len(queue) == 0


async def test_full_queue_refuses_and_says_when_to_try_again() -> None:
    queue = InProcessQueue(2)
    queue.put("a", "user")
    queue.put("b", "user")
    with pytest.raises(Overloaded) as refusal:
        queue.put("c", "user")
    assert refusal.value.retry_after_seconds is not None
    assert refusal.value.retry_after_seconds > 0
    assert await queue.take() == "a"
    queue.put("c", "user")
    assert len(queue) == 2


async def test_take_waits_for_a_put() -> None:
    queue = InProcessQueue(1)
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    assert not taker.done()
    queue.put("a", "user")
    assert await asyncio.wait_for(taker, 1) == "a"


async def test_cancelled_take_loses_nothing() -> None:
    queue = InProcessQueue(1)
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    queue.put("a", "user")
    taker.cancel()  # in the same turn of the loop: the id has not been handed over
    await asyncio.gather(taker, return_exceptions=True)
    assert await asyncio.wait_for(queue.take(), 1) == "a"


def test_a_queue_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        InProcessQueue(0)


async def test_users_take_turns_however_much_one_of_them_sends() -> None:
    queue = InProcessQueue(9)
    for number in range(4):
        queue.put(f"busy-{number}", "busy")
    queue.put("b-0", "b")
    queue.put("c-0", "c")
    queue.put("b-1", "b")
    order = [await queue.take() for _ in range(len(queue))]
    assert order == ["busy-0", "b-0", "c-0", "busy-1", "b-1", "busy-2", "busy-3"]
