"""The loop that delivers: when it tries again, when it stops trying, and that nobody waits for another's receiver."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from src.domain.callbacks import Callback, Receipt
from src.domain.errors import EngineUnavailable
from src.services.jobs.callbacks import CallbackDelivery
from tests.support.waiting import until

TAKEN = Receipt(200)
FAILED = Receipt(500, "status 500")


def callback(number: int = 1, host: str = "example.com", attempts: int = 0) -> Callback:
    url = f"https://{host}/hook?key=secret"
    return Callback(f"msg_{number}", f"job_{number}", "ann", url, "job.completed", {}, attempts)


@dataclass
class MemoryOutbox:
    """Claimed callbacks come back at once when they are to be tried again, whatever the pause."""

    waiting: list[Callback] = field(default_factory=list)
    ended: list[tuple[str, str, Receipt]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    late: int = 0
    counted: bool = False
    troubles: list[Exception] = field(default_factory=list)

    async def claim(self, lease_seconds: float, without_hosts: Collection[str] = ()) -> Callback | None:
        if self.troubles:
            raise self.troubles.pop()
        for waiting in self.waiting:
            if waiting.host not in without_hosts:
                self.waiting.remove(waiting)
                return replace(waiting, attempts=waiting.attempts + 1)
        return None

    async def delivered(self, callback: Callback, receipt: Receipt) -> None:
        self.ended.append((callback.id, "delivered", receipt))

    async def retry(self, callback: Callback, receipt: Receipt, in_seconds: float) -> None:
        self.pauses.append(in_seconds)
        self.waiting.append(callback)

    async def give_up(self, callback: Callback, receipt: Receipt) -> None:
        self.ended.append((callback.id, "given up", receipt))

    async def waiting_since(self, seconds_ago: float, most: int) -> int:
        self.counted = True
        return self.late


@dataclass
class ScriptedSender:
    """Answers in turn, then with `always`. Attempts at `slow` hosts last until `go`."""

    answers: list[Receipt | Exception] = field(default_factory=list)
    always: Receipt = TAKEN
    slow: frozenset[str] = frozenset()
    go: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[Callback] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def send(self, callback: Callback) -> Receipt:
        self.sent.append(callback)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if callback.host in self.slow:
                await self.go.wait()
        finally:
            self.running -= 1
        answer = self.answers.pop(0) if self.answers else self.always
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def delivering(
    outbox: MemoryOutbox, sender: ScriptedSender, *pauses: float, jitter: Callable[[float, float], float] = min
) -> AsyncIterator[CallbackDelivery]:
    delivery = CallbackDelivery(outbox, sender, pauses, concurrency=4, per_host=2, poll_seconds=0.01, jitter=jitter)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_callback_is_delivered_once() -> None:
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender()
    async with delivering(outbox, sender) as delivery:
        await until(lambda: bool(outbox.ended))
        await asyncio.sleep(0.05)
    assert outbox.ended == [("msg_1", "delivered", TAKEN)]
    assert len(sender.sent) == 1
    assert delivery.counts == {"delivered": 1}


async def test_it_is_tried_again_after_longer_and_longer_pauses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender([FAILED, FAILED, TAKEN])
    async with delivering(outbox, sender, 5, 300, 1800) as delivery:
        await until(lambda: bool(outbox.ended))
    assert outbox.pauses == [5, 300]
    assert outbox.ended == [("msg_1", "delivered", TAKEN)]
    assert [sent.attempts for sent in sender.sent] == [1, 2, 3]
    assert {sent.id for sent in sender.sent} == {"msg_1"}
    assert delivery.counts == {"failed": 2, "delivered": 1}
    assert "example.com: attempt 2 failed: status 500; the next in 300 s" in caplog.text
    assert "secret" not in caplog.text


async def test_it_is_given_up_when_the_pauses_are_used_up(caplog: pytest.LogCaptureFixture) -> None:
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender(always=FAILED)
    async with delivering(outbox, sender, 5, 300) as delivery:
        await until(lambda: bool(outbox.ended))
    assert outbox.ended == [("msg_1", "given up", FAILED)]
    assert len(sender.sent) == 3
    assert delivery.counts == {"failed": 3, "given_up": 1}
    assert "callback msg_1 of job job_1 to example.com is given up after attempt 3: status 500" in caplog.text


async def test_it_is_given_up_at_once_when_another_attempt_would_end_the_same_way() -> None:
    gone = Receipt(410, "status 410", final=True)
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender([gone])
    async with delivering(outbox, sender, 5, 300):
        await until(lambda: bool(outbox.ended))
    assert outbox.ended == [("msg_1", "given up", gone)]


@pytest.mark.parametrize(
    ("asked", "pauses"), [(None, [5, 300]), (60, [60, 300]), (100_000, [1800, 1800]), (0, [5, 300])]
)
async def test_a_receiver_may_ask_for_a_longer_pause(asked: float | None, pauses: list[float]) -> None:
    later = Receipt(429, "status 429", retry_after_seconds=asked)
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender([later, later])
    async with delivering(outbox, sender, 5, 300, 1800):
        await until(lambda: bool(outbox.ended))
    assert outbox.pauses == pauses


async def test_pauses_are_not_alike() -> None:
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender([FAILED])
    async with delivering(outbox, sender, 100, jitter=lambda low, high: (low + high) / 2):
        await until(lambda: bool(outbox.ended))
    assert outbox.pauses == [pytest.approx(110)]


async def test_a_slow_receiver_does_not_hold_the_others() -> None:
    slow = [callback(number, "slow.example") for number in range(10)]
    quick = [callback(number, f"{number}.example") for number in range(10, 20)]
    outbox, sender = MemoryOutbox(slow + quick), ScriptedSender(slow=frozenset({"slow.example"}))
    async with delivering(outbox, sender):
        await until(lambda: len(outbox.ended) == 10)
        assert {ended for ended, _, _ in outbox.ended} == {each.id for each in quick}
        assert sum(sent.host == "slow.example" for sent in sender.sent) == 2
        sender.go.set()
        await until(lambda: len(outbox.ended) == 20)
    assert sender.most_running <= 4


async def test_only_so_many_run_at_a_time() -> None:
    hosts = [f"{number}.example" for number in range(10)]
    outbox = MemoryOutbox([callback(number, host) for number, host in enumerate(hosts)])
    sender = ScriptedSender(slow=frozenset(hosts))
    async with delivering(outbox, sender):
        await until(lambda: sender.running == 4)
        await asyncio.sleep(0.05)
        assert len(sender.sent) == 4
        sender.go.set()
        await until(lambda: len(outbox.ended) == 10)
    assert sender.most_running == 4


async def test_a_defect_in_one_attempt_leaves_the_others_alone() -> None:
    outbox, sender = MemoryOutbox([callback(1), callback(2), callback(3)]), ScriptedSender([RuntimeError("secret")])
    async with delivering(outbox, sender):
        await until(lambda: len(outbox.ended) == 2)


async def test_the_loop_goes_on_after_the_database_was_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.services.jobs.callbacks._AFTER_TROUBLE_SECONDS", 0.01)
    troubles = [EngineUnavailable("The database does not answer."), RuntimeError("a secret")]
    outbox, sender = MemoryOutbox([callback()], troubles=list(troubles)), ScriptedSender()
    async with delivering(outbox, sender):
        await until(lambda: bool(outbox.ended))
    assert "a secret" not in caplog.text
    assert "RuntimeError" in caplog.text


async def test_an_attempt_that_runs_at_the_end_is_noted() -> None:
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender(slow=frozenset({"example.com"}))
    async with delivering(outbox, sender):
        await until(lambda: sender.running == 1)
        asyncio.get_running_loop().call_later(0.1, sender.go.set)
    assert outbox.ended == [("msg_1", "delivered", TAKEN)]


async def test_an_attempt_that_takes_too_long_at_shutdown_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.services.jobs.callbacks._GRACE_SECONDS", 0.05)
    outbox, sender = MemoryOutbox([callback()]), ScriptedSender(slow=frozenset({"example.com"}))
    async with delivering(outbox, sender):
        await until(lambda: sender.running == 1)
    assert (sender.running, outbox.ended) == (0, [])


@pytest.mark.parametrize(("late", "said"), [(0, False), (99, False), (100, True)])
async def test_many_waiting_callbacks_are_a_notice(late: int, said: bool) -> None:
    outbox = MemoryOutbox(late=late)
    async with delivering(outbox, ScriptedSender()) as delivery:
        await until(lambda: outbox.counted)
        await asyncio.sleep(0)
        assert bool(delivery.notices()) == said
