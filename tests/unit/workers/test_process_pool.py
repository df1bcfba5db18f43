"""The pool of child processes: real children, killed in every way that a child can end."""

import asyncio
import functools
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.audio import Audio
from src.domain.errors import DeadlineExceeded, EngineUnavailable, InternalError, NoSpeechDetected, Overloaded
from src.domain.identity import Trace, current_trace, working_for
from src.workers.process_pool import ProcessPool
from tests.fakes.pool_engine import SECRET, Engine, mark
from tests.support.waiting import until


def make_pool(size: int = 1, queue_size: int = 8, timeout: float = 20.0, **options: Any) -> ProcessPool:
    return ProcessPool(Engine, size, queue_size, timeout, "test", **options)


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = make_pool()
    await pool.start()
    yield pool
    await pool.close()


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def test_calls_run_in_another_process_and_arrays_come_back_writable(pool: ProcessPool) -> None:
    samples = np.linspace(-0.5, 0.5, 22_050, dtype=np.float32)
    returned = await pool.run("echo", Audio(samples, 22_050))
    assert await pool.run("pid") != os.getpid()
    assert returned.sample_rate == 22_050
    np.testing.assert_array_equal(returned.samples, samples)
    returned.samples[0] = 0


@pytest.mark.parametrize("value", [b"", b"x" * 3_000_000, {"a": [1, 2.5, None]}, np.zeros((0, 3)), np.arange(9)[::2]])
async def test_values_travel_unchanged(pool: ProcessPool, value: Any) -> None:
    returned = await pool.run("echo", value)
    assert type(returned) is type(value)
    np.testing.assert_equal(returned, value)


async def test_domain_errors_cross_intact_and_the_child_lives_on(pool: ProcessPool) -> None:
    pid = await pool.run("pid")
    with pytest.raises(NoSpeechDetected) as caught:
        await pool.run("fail", "domain")
    assert (caught.value.detail, caught.value.retry_after_seconds) == ("Nothing was said.", 7)
    assert await pool.run("pid") == pid


async def test_a_defect_is_logged_without_what_the_caller_sent(
    pool: ProcessPool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError) as caught:
        await pool.run("fail", "defect")
    assert "test.fail" in caplog.text
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text + caught.value.detail
    assert await pool.run("echo", 1) == 1


@pytest.mark.parametrize("how", ["segfault", "exit", "memory", "kill"])
async def test_a_child_that_dies_fails_its_own_call_and_is_replaced(how: str) -> None:
    pool = make_pool(size=2)
    await pool.start()
    try:
        other = asyncio.create_task(pool.run("sleep", 0.3))
        with pytest.raises(EngineUnavailable):
            await pool.run("die", how)
        assert await other
        assert await asyncio.gather(*(pool.run("echo", number) for number in range(4))) == [0, 1, 2, 3]
        async with asyncio.timeout(60):
            while len(set(await asyncio.gather(*(pool.run("sleep", 0.1) for _ in range(2))))) < 2:
                """The replacement is still starting."""
    finally:
        await pool.close()


async def test_a_child_that_dies_idle_is_replaced_before_the_next_call(pool: ProcessPool) -> None:
    pid = await pool.run("pid")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_running(pid))
    await until(lambda: bool(children() - {pid}))
    assert await pool.run("pid") != pid
    assert pool.alive


async def test_the_deadline_kills_even_native_code_that_holds_the_gil() -> None:
    pool = make_pool(timeout=1.0)
    await pool.start()
    try:
        pid = await pool.run("pid")
        with pytest.raises(DeadlineExceeded):
            await pool.run("hold_the_gil")
        await until(lambda: not is_running(pid))
    finally:
        await pool.close()


async def test_cancelling_kills_the_child_and_what_it_started(pool: ProcessPool, tmp_path: Path) -> None:
    pid, file = await pool.run("pid"), tmp_path / "pid"
    call = asyncio.create_task(pool.run("spawn_program", str(file)))
    await until(lambda: file.exists() and bool(file.read_text()))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not is_running(pid) and not is_running(int(file.read_text())))
    assert await pool.run("pid") != pid


async def test_waiting_calls_are_bounded_and_served_in_order() -> None:
    pool = make_pool(queue_size=3)
    await pool.start()
    try:
        served: list[int] = []

        async def call(number: int) -> None:
            await pool.run("sleep", 0.05)
            served.append(number)

        calls = [asyncio.create_task(call(number)) for number in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await pool.run("pid")
        assert caught.value.retry_after_seconds is not None
        assert caught.value.retry_after_seconds >= 1
        await asyncio.gather(*calls)
        assert served == [0, 1, 2, 3]
    finally:
        await pool.close()


async def test_a_cancelled_waiter_leaves_the_queue_and_kills_nothing(pool: ProcessPool) -> None:
    first = asyncio.create_task(pool.run("sleep", 0.5))
    waiting = [asyncio.create_task(pool.run("pid")) for _ in range(3)]
    while len(pool._waiting) < len(waiting):
        await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    # the second is cancelled in the moment in which its turn comes
    pool._waiting[0].add_done_callback(lambda _: waiting[1].cancel())
    assert await waiting[2] == await first
    assert waiting[1].cancelled()
    async with asyncio.timeout(60):
        while len(pool._idle) < 1:  # its thread says so a moment after the answer
            await asyncio.sleep(0.01)


async def test_an_answer_in_the_moment_of_cancelling_does_no_harm(pool: ProcessPool) -> None:
    for number in range(40):
        call = asyncio.create_task(pool.run("echo", number))
        await asyncio.sleep(number * 0.00002)
        call.cancel()
        with suppress(asyncio.CancelledError):
            assert await call == number
    assert await pool.run("echo", "still here") == "still here"


@pytest.mark.parametrize("method", ["odd_answer", "hostile"])
async def test_only_domain_objects_come_out_of_a_child(pool: ProcessPool, method: str) -> None:
    received = []
    signal.signal(signal.SIGUSR1, lambda *_: received.append(1))
    try:
        with pytest.raises(EngineUnavailable):
            await pool.run(method)
        assert await pool.run("echo", 1) == 1
        assert received == []
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


async def test_what_cannot_be_pickled_is_a_defect_on_both_ways(pool: ProcessPool) -> None:
    with pytest.raises(InternalError):
        await pool.run("unpicklable")
    with pytest.raises(InternalError):
        await pool.run("echo", lambda: None)
    with pytest.raises(InternalError):
        await pool.run("no_such_method")
    assert await pool.run("echo", 1) == 1


async def test_a_factory_that_fails_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    pool = ProcessPool(functools.partial(Engine, str(tmp_path / "absent")), 2, 1, 5.0, "test")
    with pytest.raises(EngineUnavailable, match="apt-get install engine"):
        await pool.start()
    assert not pool.alive
    assert children() == set()
    with pytest.raises(EngineUnavailable):
        await pool.run("pid")


async def test_when_no_child_can_be_started_again_callers_learn_it_at_once(tmp_path: Path) -> None:
    needed = tmp_path / "engine"
    needed.touch()
    pool = ProcessPool(functools.partial(Engine, str(needed)), 1, 4, 20.0, "test")
    await pool.start()
    try:
        needed.unlink()
        dying = asyncio.create_task(pool.run("die", "kill"))
        waiting = asyncio.create_task(pool.run("pid"))
        results = await asyncio.gather(dying, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [EngineUnavailable, EngineUnavailable]
        assert not pool.alive
        needed.touch()
        await until(lambda: pool.alive)
        assert await pool.run("echo", 1) == 1
    finally:
        await pool.close()


async def test_init_and_before_call_run_and_the_environment_is_the_given_one(tmp_path: Path) -> None:
    started, called = tmp_path / "started", tmp_path / "called"
    pool = make_pool(
        init=functools.partial(mark, str(started)),
        before_call=functools.partial(mark, str(called)),
        environment={"GIVEN": "1"},
    )
    await pool.start()
    try:
        environment = await pool.run("environment")
        await pool.run("pid")
        assert environment["GIVEN"] == "1"
        assert environment["OMP_NUM_THREADS"] == "1"
        assert "HOME" not in environment
        assert (started.read_text(), called.read_text()) == ("x", "xx")
    finally:
        await pool.close()


async def test_log_records_reach_the_parent(pool: ProcessPool, caplog: pytest.LogCaptureFixture) -> None:
    await pool.run("log", "100 % warm")
    assert [record.getMessage() for record in caplog.records if record.name == "engine"] == ["100 % warm"]


async def test_what_a_child_and_its_programs_print_becomes_lines_of_the_log_and_ends_somewhere(
    pool: ProcessPool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "src.workers.child_process"]

    await pool.run("print_lines", "malloc(): corrupted", 1)
    await until(lambda: len(said()) == 2)
    assert said() == ["a test process printed: malloc(): corrupted", "a test process printed: from a program"]
    await pool.run("print_lines", "x" * 5000, 1000)  # nobody waits for room in the pipe
    assert await pool.run("echo", 1) == 1
    await until(lambda: len(said()) >= 200)
    assert len(said()) <= 200
    assert capfd.readouterr().err == ""


async def test_a_defect_is_logged_for_the_request_that_it_was_done_for(
    pool: ProcessPool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Trace | None] = []

    def look(_record: logging.LogRecord) -> bool:
        seen.append(current_trace.get())
        return True

    caplog.handler.addFilter(look)
    trace = Trace("r1", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    with working_for(trace), pytest.raises(InternalError):
        await pool.run("fail", "defect")
    caplog.handler.removeFilter(look)
    assert seen == [trace]


async def test_close_fails_running_and_waiting_calls() -> None:
    pool = make_pool()
    await pool.start()
    pid = await pool.run("pid")
    calls = [asyncio.create_task(pool.run("hold_the_gil")) for _ in range(2)]
    await asyncio.sleep(0.1)
    await pool.close()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [EngineUnavailable, EngineUnavailable]
    assert not is_running(pid)


async def test_a_start_that_is_closed_or_cancelled_ends_and_leaves_nothing() -> None:
    for ending in ("close", "cancel"):
        pool = make_pool(size=2)
        starting = asyncio.create_task(pool.start())
        await asyncio.sleep(0.02)
        if ending == "close":
            await pool.close()
            with pytest.raises(EngineUnavailable):
                await asyncio.wait_for(starting, 60)
        else:
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(starting, 60)
        assert children() == set()


async def test_killed_calls_leave_no_descriptor_thread_or_child(pool: ProcessPool) -> None:
    async def cancelled_call() -> None:
        call = asyncio.create_task(pool.run("sleep", 60))
        await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await pool.run("pid")

    def held() -> tuple[int, int]:
        return len([*Path("/proc/self/fd").iterdir()]), len([*Path("/proc/self/task").iterdir()])

    await cancelled_call()
    before = held()
    for _ in range(20):
        await cancelled_call()
    # threads of an executor come and go: twenty calls that leak would leave twenty
    assert all(now < then + 10 for now, then in zip(held(), before, strict=True))
    assert children() == {await pool.run("pid")}


@pytest.fixture(autouse=True)
def _other_children() -> Iterator[None]:
    """Servers that other test modules keep for the whole run are no children of a pool."""
    OTHERS.update(children())
    yield
    OTHERS.clear()


OTHERS: set[int] = set()


def children() -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False)
    pids = {int(pid) for pid in found.stdout.split()} - OTHERS
    return {pid for pid in pids if is_running(pid)}


ORPHAN_SCRIPT = """
import asyncio, sys
from tests.unit.workers.test_process_pool import make_pool

async def main():
    pool = make_pool(size=2)
    await pool.start()
    pids = set(await asyncio.gather(pool.run("sleep", 0.3), pool.run("sleep", 0.3)))
    print(*pids, flush=True)
    await pool.run("hold_the_gil")

asyncio.run(main())
"""


async def test_children_die_with_a_killed_parent_even_in_the_middle_of_a_call() -> None:
    root = Path(__file__).parents[3]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN_SCRIPT, cwd=root, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.wait_for(parent.stdout.readline(), 60)).split()]
    assert len(pids) == 2
    await asyncio.sleep(0.2)
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(is_running, pids)))


async def test_ctrl_c_and_sigterm_are_left_to_the_parent(pool: ProcessPool) -> None:
    pid = await pool.run("pid")
    call = asyncio.create_task(pool.run("sleep", 0.3))
    await asyncio.sleep(0.1)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert await call == pid
    assert await pool.run("pid") == pid


async def test_the_event_loop_stays_free_while_large_arguments_travel(pool: ProcessPool) -> None:
    call = asyncio.create_task(pool.run("echo", b"x" * 50_000_000))
    turns = 0
    while not call.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert len(call.result()) == 50_000_000
    assert turns > 3
