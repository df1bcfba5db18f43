import asyncio

import pytest

from src.utils.concurrency import background_task, finish_before_cancel, run_both


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
