import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from src.domain.errors import NoSpeechDetected
from src.utils.concurrency import background_task, finish_before_cancel, in_order, run_both
from tests.fakes.fakes import Gate


async def _value(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def _fail() -> int:
    await asyncio.sleep(0)
    raise KeyError("first")


async def test_run_both_returns_both_results() -> None:
    assert await run_both(_value(1), _value(2)) == (1, 2)


async def test_run_both_cancels_the_other_and_raises_the_bare_error() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyError):
        await run_both(_fail(), wait())
    assert cancelled.is_set()


async def test_leaving_the_block_stops_what_was_started_early() -> None:
    async with background_task(asyncio.sleep(60)) as task:
        await asyncio.sleep(0)
    assert task.cancelled()


async def test_an_error_that_nobody_awaits_is_swallowed_with_the_block() -> None:
    async with background_task(_fail()):
        await asyncio.sleep(0.01)


async def test_work_that_must_not_be_left_half_way_ends_before_its_caller_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await asyncio.sleep(0.05)
        ended.set()
        return "done"

    caller = asyncio.create_task(finish_before_cancel(work()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    assert await finish_before_cancel(work()) == "done"


async def test_an_error_of_uninterrupted_work_is_raised_in_its_caller() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await finish_before_cancel(fail())
    caller = asyncio.create_task(finish_before_cancel(fail()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def _numbers(count: int, closed: list[bool]) -> AsyncGenerator[int]:
    try:
        for number in range(count):
            yield number
    finally:
        closed.append(True)


async def test_results_come_in_order_and_few_are_taken_on_at_a_time() -> None:
    running, most, closed = 0, 0, list[bool]()

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0 if number % 2 else 0.002)
        running -= 1
        return number

    async with aclosing(in_order(_numbers(9, closed), work, at_once=3)) as found:
        assert [number async for number in found] == list(range(9))
    assert (most, closed) == (3, [True])


async def test_the_first_is_alone_until_more_is_asked_for() -> None:
    begun, closed = list[int](), list[bool]()

    async def work(number: int) -> int:
        begun.append(number)
        return number

    async with aclosing(in_order(_numbers(9, closed), work, at_once=3, first_alone=True)) as found:
        assert await anext(found) == 0
        await asyncio.sleep(0.01)
        assert begun == [0]
        assert [number async for number in found] == list(range(1, 9))


async def test_the_first_error_stops_all_that_is_under_way() -> None:
    gate, closed = Gate(), list[bool]()

    async def work(number: int) -> int:
        if number == 1:
            raise NoSpeechDetected("one")
        if number:
            await gate()
        return number

    async with aclosing(in_order(_numbers(9, closed), work, at_once=3)) as found:
        assert await anext(found) == 0
        with pytest.raises(NoSpeechDetected):
            await anext(found)
    assert (gate.inside, closed) == (0, [True])
