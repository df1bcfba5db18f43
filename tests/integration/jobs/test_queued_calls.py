"""Engine calls over a real Postgres and a real Redis, between the side that has no engine and the side that has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlCallRepository
from src.adapters.redis.events import RedisJobEvents
from src.adapters.redis.link import RedisLink
from src.adapters.storage.local import LocalStorage
from src.domain.audio import Audio
from src.domain.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InternalError,
    NotFound,
    Overloaded,
    ReferenceTooShort,
)
from src.domain.identity import current_user
from src.domain.leases import WAITING, EngineCall
from src.services.jobs.engine_calls import CallRunner, CallUpkeep, QueuedCalls
from src.utils.codec import encode
from src.workers.job_worker import JobWorker
from tests.fakes.fake_stores import HandedLeases
from tests.fakes.fakes import Gate, tone
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.waiting import files_under, until


@dataclass
class Engine:
    """Stands in for the methods of engines."""

    gate: Gate = field(default_factory=Gate)
    users: list[str] = field(default_factory=list)

    async def echo(self, *arguments: Any) -> Any:
        self.users.append(current_user.get())
        return arguments

    async def wait(self) -> str:
        await self.gate()
        return "waited"

    async def refuse(self) -> None:
        raise ReferenceTooShort("There is too little speech.")

    async def break_down(self) -> None:
        raise ValueError("what was " + "said")

    async def answer_wrongly(self) -> object:
        return {"a": "dictionary"}


@dataclass
class Road:
    """What both sides share, and the parts of either."""

    rows: SqlCallRepository
    storage: LocalStorage
    events: RedisJobEvents
    folder: Path
    engine: Engine = field(default_factory=Engine)
    somebody: bool = True
    opened: list[QueuedCalls] = field(default_factory=list)

    def calls(self, most_waiting: int = 10, patience: float = 10.0, timeout: float = 20.0) -> QueuedCalls:
        calls = QueuedCalls(
            self.rows,
            self.storage,
            self.events,
            lambda: self.somebody,
            most_waiting=most_waiting,
            patience_seconds=patience,
            timeout_seconds=timeout,
        )
        self.opened.append(calls)
        return calls

    @property
    def upkeep(self) -> CallUpkeep:
        return CallUpkeep(self.rows, self.events, self.storage, max_attempts=3, lease_seconds=10.0)

    def runner(self) -> CallRunner:
        engine = self.engine
        methods: dict[str, Callable[..., Awaitable[Any]]] = {
            "echo": engine.echo,
            "wait": engine.wait,
            "refuse": engine.refuse,
            "break_down": engine.break_down,
            "answer_wrongly": engine.answer_wrongly,
        }
        return CallRunner(
            self.rows, HandedLeases(), self.events, self.storage, methods, lease_seconds=30.0, max_attempts=3
        )

    @asynccontextmanager
    async def worker(self, slots: int = 2) -> AsyncIterator[JobWorker[EngineCall]]:
        runner = self.runner()
        worker = JobWorker(runner.claim, runner.run, slots, lambda: 60.0)
        worker.start()

        async def listen() -> None:
            with self.events.listening(WAITING) as wake:
                while True:
                    await wake.wait(self.events.patience_seconds)
                    await worker.put("")

        listening = asyncio.create_task(listen())
        try:
            yield worker
        finally:
            listening.cancel()
            await worker.close(0)

    async def is_empty(self) -> None:
        """No row and no file of any call is left, after a while."""
        deadline = asyncio.get_running_loop().time() + 60
        while (await self.rows.counts()) != (0, 0) or files_under(self.folder):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)


@pytest.fixture
async def road(postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Road]:
    async with AsyncExitStack() as stack:
        database = Database(postgres.ready_database())
        stack.push_async_callback(database.close)
        await database.start()
        link = RedisLink(redis_server.url, 1.0)
        await link.start()
        stack.push_async_callback(link.close)
        events = RedisJobEvents(link)
        await events.start()
        stack.push_async_callback(events.close)
        storage = LocalStorage(tmp_path / "audio", b"k" * 32, 60)
        await storage.start()
        road = Road(SqlCallRepository(database), storage, events, tmp_path / "audio")
        yield road
        for calls in road.opened:  # a row may be gone before its connection is back
            await calls.close()


async def test_arguments_arrive_and_the_answer_comes_back(road: Road) -> None:
    sound = tone(60.0, 22_050)
    current_user.set("ann")
    async with road.worker():
        arrived, language, references = await road.calls().run("echo", sound, None, (sound,))
    assert isinstance(arrived, Audio)
    assert np.array_equal(arrived.samples, sound.samples)
    assert (language, len(references), road.engine.users) == (None, 1, ["ann"])
    await road.is_empty()


async def test_many_calls_at_once_each_get_their_own_answer(road: Road) -> None:
    calls = road.calls(most_waiting=100)
    async with road.worker(slots=4), road.worker(slots=4):
        answers = await asyncio.gather(*(calls.run("echo", number) for number in range(40)))
    assert answers == [(number,) for number in range(40)]
    await road.is_empty()


async def test_an_error_of_the_engine_is_raised_as_the_same_error(road: Road) -> None:
    async with road.worker():
        with pytest.raises(ReferenceTooShort) as refused:
            await road.calls().run("refuse")
    assert refused.value.detail == "There is too little speech."
    await road.is_empty()


@pytest.mark.parametrize("method", ["break_down", "answer_wrongly", "unheard_of"])
async def test_a_defect_is_told_as_one_and_its_words_stay(
    road: Road, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with road.worker():
        with pytest.raises(InternalError) as refused:
            await road.calls().run(method)
    assert "what was said" not in refused.value.detail + caplog.text
    await road.is_empty()


async def test_what_may_not_cross_is_refused_before_anything_is_written(road: Road) -> None:
    with pytest.raises(InternalError):
        await road.calls().run("echo", object())
    await road.is_empty()


async def test_a_caller_that_leaves_stops_the_engine_and_leaves_nothing(road: Road) -> None:
    async with road.worker():
        waiting = asyncio.create_task(road.calls().run("wait"))
        await until(lambda: road.engine.gate.inside == 1)
        waiting.cancel()
        await until(lambda: road.engine.gate.cancelled == 1)
        await asyncio.gather(waiting, return_exceptions=True)
        await road.is_empty()


async def test_a_caller_that_leaves_the_queue_leaves_nothing(road: Road) -> None:
    waiting = asyncio.create_task(road.calls().run("echo"))
    while (await road.rows.counts()) != (1, 0):
        await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait({waiting})
    await road.is_empty()


async def test_without_a_worker_callers_are_told_so_at_once(road: Road) -> None:
    road.somebody = False
    with pytest.raises(EngineUnavailable) as refused:
        await road.calls(patience=30).run("echo")
    assert refused.value.retry_after_seconds
    await road.is_empty()


async def test_a_call_that_no_worker_takes_is_given_up(road: Road) -> None:
    with pytest.raises(Overloaded):
        await road.calls(patience=0.2).run("echo")
    calls = road.calls(patience=1)
    waiting = asyncio.create_task(calls.run("echo"))
    await asyncio.sleep(0.1)
    road.somebody = False
    with pytest.raises(EngineUnavailable):
        await waiting
    await road.is_empty()


async def test_a_full_queue_refuses_more(road: Road) -> None:
    calls = road.calls(most_waiting=1)
    waiting = asyncio.create_task(calls.run("echo"))
    while (await road.rows.counts()) != (1, 0):
        await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await calls.run("echo")
    waiting.cancel()
    await asyncio.wait({waiting})
    await road.is_empty()


async def test_a_call_that_takes_too_long_is_ended_on_both_sides(road: Road) -> None:
    async with road.worker():
        with pytest.raises(DeadlineExceeded):
            await road.calls(timeout=2).run("wait")
        await until(lambda: road.engine.gate.cancelled == 1)
        await road.is_empty()


async def test_a_worker_that_stops_gives_its_call_to_another(road: Road) -> None:
    async with road.worker() as first:
        waiting = asyncio.create_task(road.calls().run("wait"))
        await until(lambda: road.engine.gate.inside == 1)
        async with road.worker():
            await first.close(0)
            await until(lambda: road.engine.gate.entered == 2)
            road.engine.gate.opened.set()
            assert await waiting == "waited"
    await road.is_empty()


async def test_a_call_that_has_lost_three_workers_is_given_up(road: Road) -> None:
    waiting = asyncio.create_task(road.calls().run("echo"))
    for _ in range(3):
        while await road.rows.claim(0.0) is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        await road.upkeep.recover()
    with pytest.raises(EngineUnavailable, match="3 workers"):
        await waiting
    await road.is_empty()


async def test_an_answer_that_comes_after_its_caller_left_is_not_kept(road: Road) -> None:
    call = EngineCall("late", "ann", "echo")
    await road.storage.put(call.arguments_key, encode((None, ())))
    await road.rows.add(call, 10, 60.0)
    runner = road.runner()
    leased = await runner.claim()
    assert leased is not None
    await runner._attempt(leased)  # the answer lies there
    await road.rows.delete("late")
    await road.storage.delete(call.arguments_key)
    assert not await runner._complete(leased, None)
    await road.is_empty()


async def test_a_call_of_a_process_that_is_gone_is_taken_away_when_its_time_is_over(road: Road) -> None:
    orphan = EngineCall("orphan", "ann", "wait")
    await road.storage.put(orphan.arguments_key, encode((None, ())))
    await road.rows.add(orphan, 10, 3.0)
    async with road.worker():
        await road.events.publish(WAITING)
        await until(lambda: road.engine.gate.inside == 1)
        while not road.engine.gate.cancelled:
            await road.upkeep.recover()
            await asyncio.sleep(0.05)
        with pytest.raises(NotFound):
            await road.rows.get("orphan")
        await road.is_empty()


async def test_calls_are_done_while_redis_is_away(road: Road, redis_server: RedisServer) -> None:
    async with road.worker():
        await asyncio.to_thread(redis_server.kill)
        await until(lambda: not road.events._subscribed)
        assert await road.calls().run("echo", "slower") == ("slower",)
    await road.is_empty()
