"""The owner of a device: a real child that does many calls at once, and everything that can go wrong with it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from src.domain.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InternalError,
    NoSpeechDetected,
    Overloaded,
)
from src.domain.identity import current_user
from src.workers.gpu_worker import GpuWorker
from tests.fakes.batch_engine import BatchEngine, missing
from tests.support.waiting import until

SECRET = "what the caller said"


@asynccontextmanager
async def working(
    *factories: Callable[[], Any],
    queue_size: int = 32,
    in_flight: int = 8,
    call_timeout_seconds: float = 20.0,
    leave_seconds: float = 5.0,
) -> AsyncIterator[GpuWorker]:
    worker = GpuWorker(
        *(factories or (BatchEngine,)),
        queue_size=queue_size,
        in_flight=in_flight,
        call_timeout_seconds=call_timeout_seconds,
        name="test",
        leave_seconds=leave_seconds,
    )
    try:
        await worker.start()
        yield worker
    finally:
        await worker.close()


@pytest.fixture
async def worker() -> AsyncIterator[GpuWorker]:
    async with working() as started:
        yield started


def started(file: Path) -> list[str]:
    """The calls that the engine has begun, in their order."""
    return file.read_text().split() if file.exists() else []


async def test_calls_made_together_share_steps_and_none_gets_anothers_answer(worker: GpuWorker) -> None:
    answers = await asyncio.gather(*(worker.run("count", number, 200 + number) for number in range(8)))
    assert [value for value, _ in answers] == list(range(8))
    assert min(shared for _, shared in answers) > 1
    assert max(shared for _, shared in answers) == 8


async def test_no_more_calls_are_inside_than_there_is_room_for() -> None:
    async with working(in_flight=2) as worker:
        answers = await asyncio.gather(*(worker.run("count", number, 5) for number in range(6)))
    assert max(shared for _, shared in answers) == 2


async def test_a_call_that_comes_later_joins_those_at_work(worker: GpuWorker, tmp_path: Path) -> None:
    first = asyncio.create_task(worker.run("count", "long", 500, tmp_path / "begun"))
    await until(lambda: started(tmp_path / "begun") == ["long"])
    assert await worker.run("count", "short", 1) == ("short", 2)
    assert not first.done()
    assert await first == ("long", 2)


async def test_errors_of_the_domain_concern_their_own_call_and_arrive_whole(worker: GpuWorker) -> None:
    answers: Any = await asyncio.gather(
        worker.run("count", "good", 50), worker.run("refuse"), worker.run("odd"), return_exceptions=True
    )
    good, refused, late = answers
    assert good[0] == "good"
    assert isinstance(refused, NoSpeechDetected)
    assert (refused.detail, refused.retry_after_seconds) == ("Nothing was said.", 7)
    assert isinstance(late, NoSpeechDetected)


@pytest.mark.parametrize("method", ["spoil", "unpicklable", "no_such_method"])
async def test_a_defect_fails_its_call_and_is_logged_without_what_was_sent(
    worker: GpuWorker, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    pid = await worker.run("pid")
    with pytest.raises(InternalError) as caught:
        await worker.run(method, SECRET)
    assert f"defect in test.{method}" in caplog.text
    assert SECRET not in caplog.text + caught.value.detail
    assert await worker.run("pid") == pid


async def test_arguments_that_cannot_be_sent_are_a_defect_of_their_call(worker: GpuWorker) -> None:
    with pytest.raises(InternalError):
        await worker.run("count", lambda: None, 1)
    assert (await worker.run("count", 1, 1))[0] == 1


@pytest.mark.parametrize("how", ["break", "die"])
async def test_a_call_that_ends_the_process_takes_no_other_with_it(
    worker: GpuWorker, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    pid = await worker.run("pid")
    calls = [worker.run("count", number, 30) for number in range(5)]
    answers: list[Any] = await asyncio.gather(*calls, worker.run(how, SECRET), return_exceptions=True)
    *good, bad = answers
    assert [answer[0] for answer in good] == list(range(5))
    assert isinstance(bad, EngineUnavailable)
    assert SECRET not in caplog.text
    assert await worker.run("pid") != pid
    assert worker.alive


async def test_a_process_that_is_killed_from_outside_loses_no_call(worker: GpuWorker, tmp_path: Path) -> None:
    pid = await worker.run("pid")
    calls = [asyncio.create_task(worker.run("count", number, 300, tmp_path / "begun")) for number in range(4)]
    await until(lambda: len(started(tmp_path / "begun")) == 4)
    os.kill(pid, signal.SIGKILL)
    assert [(await call)[0] for call in calls] == list(range(4))
    assert sorted(started(tmp_path / "begun")) == sorted("0123" * 2)


async def test_a_cancelled_call_leaves_within_a_step_and_the_others_stay(worker: GpuWorker, tmp_path: Path) -> None:
    pid = await worker.run("pid")
    other = asyncio.create_task(worker.run("count", "other", 200))
    call = asyncio.create_task(worker.run("count", "mine", 10**9, tmp_path / "begun"))
    await until(lambda: bool(started(tmp_path / "begun")))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await other)[0] == "other"
    assert await worker.run("count", "alone", 1) == ("alone", 1)
    assert await worker.run("pid") == pid


async def test_a_cancelled_call_that_waits_is_never_begun(tmp_path: Path) -> None:
    async with working(in_flight=1) as worker:
        first = asyncio.create_task(worker.run("count", "first", 100, tmp_path / "begun"))
        await asyncio.sleep(0)
        second = asyncio.create_task(worker.run("count", "second", 1, tmp_path / "begun"))
        await until(lambda: bool(started(tmp_path / "begun")))
        second.cancel()
        await first
        assert (await worker.run("count", "third", 1, tmp_path / "begun"))[0] == "third"
    assert started(tmp_path / "begun") == ["first", "third"]


async def test_a_call_that_takes_too_long_is_ended() -> None:
    async with working(call_timeout_seconds=1.0) as worker:
        with pytest.raises(DeadlineExceeded):
            await worker.run("count", 1, 10**9)
        assert (await worker.run("count", 2, 1))[0] == 2


async def test_a_process_that_hangs_is_killed_and_its_other_calls_are_done_again() -> None:
    async with working(call_timeout_seconds=8.0, leave_seconds=0.2) as worker:
        pid = await worker.run("pid")
        hanging = asyncio.create_task(worker.run("hang"))
        await asyncio.sleep(0.3)
        innocent = asyncio.create_task(worker.run("count", "innocent", 3))
        await asyncio.sleep(0.1)
        hanging.cancel()
        assert (await innocent)[0] == "innocent"
        assert await worker.run("pid") != pid


async def test_the_queue_is_bounded_and_says_retry_after() -> None:
    async with working(queue_size=2, in_flight=1) as worker:
        calls = [asyncio.create_task(worker.run("count", number, 100)) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await worker.run("count", 4, 1)
        assert caught.value.retry_after_seconds
        assert [(await call)[0] for call in calls] == [0, 1, 2]


async def test_users_take_turns(tmp_path: Path) -> None:
    async def call(worker: GpuWorker, user: str, number: int) -> None:
        current_user.set(user)
        await worker.run("count", f"{user}{number}", 1, tmp_path / "begun")

    async with working(in_flight=1) as worker:
        first = asyncio.create_task(call(worker, "first", 0))
        await asyncio.sleep(0)
        many = [asyncio.create_task(call(worker, "busy", number)) for number in range(4)]
        await asyncio.sleep(0)
        one = asyncio.create_task(call(worker, "other", 0))
        await asyncio.gather(first, *many, one)
    assert started(tmp_path / "begun") == ["first0", "busy0", "other0", "busy1", "busy2", "busy3"]


async def test_engines_share_the_device_by_time_and_neither_starves() -> None:
    slow, fast = partial(BatchEngine, "slow_", 0.02), partial(BatchEngine, "fast_", 0.002)
    async with working(slow, fast) as worker:
        endless = asyncio.create_task(worker.run("slow_count", "slow", 60))
        await worker.run("fast_count", "fast", 100)
        assert not endless.done()  # 0.2 s of its own, as much for the other, and not the other's 1.2 s
        assert (await endless)[0] == "slow"


async def test_an_engine_that_is_missing_says_so_at_the_start() -> None:
    with pytest.raises(EngineUnavailable, match="The weights are not there"):
        async with working(missing):
            pass


async def test_closing_fails_the_calls_that_are_not_done_and_later_ones() -> None:
    async with working(in_flight=1) as worker:
        calls = [asyncio.create_task(worker.run("count", number, 10**9)) for number in range(2)]
        await asyncio.sleep(0.1)
    for call in calls:
        with pytest.raises(EngineUnavailable):
            await call
    with pytest.raises(EngineUnavailable):
        await worker.run("count", 1, 1)
    assert not worker.alive
