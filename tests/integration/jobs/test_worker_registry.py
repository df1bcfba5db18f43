"""Workers in SQLite and in Postgres: seen, and not seen any more."""

from dataclasses import replace
from datetime import timedelta

from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlWorkerRegistry
from src.adapters.database.tables import workers
from src.domain.jobs import now
from src.domain.leases import Abilities, WorkerState

WORKER = WorkerState(
    "one",
    "host",
    "cuda",
    slots=48,
    running=0,
    hears=Abilities("whisper", frozenset({"en", "fr"})),
    speaks=Abilities("xtts", frozenset({"es"}), varies=True),
    notices=("translation: no DeepL",),
)


async def test_a_worker_is_found_as_it_told_last(database: Database) -> None:
    registry = SqlWorkerRegistry(database)
    await registry.seen(WORKER)
    assert await registry.within(60) == [WORKER]
    later = replace(WORKER, running=3, draining=True, notices=())
    await registry.seen(later)
    await registry.seen(later)
    assert await registry.within(60) == [later]


async def test_the_newest_comes_first_and_who_was_not_seen_lately_not_at_all(database: Database) -> None:
    registry = SqlWorkerRegistry(database)
    newer = replace(WORKER, id="two", started_at=WORKER.started_at + timedelta(seconds=5))
    for worker in (WORKER, newer):
        await registry.seen(worker)
    assert [worker.id for worker in await registry.within(60)] == ["two", "one"]
    async with database._writer.begin() as connection:
        await connection.execute(workers.update().values(seen_at=now() - timedelta(minutes=2)))
    await registry.seen(WORKER)
    assert [worker.id for worker in await registry.within(60)] == ["one"]


async def test_who_has_been_gone_for_more_than_a_day_is_forgotten(database: Database) -> None:
    registry = SqlWorkerRegistry(database)
    await registry.seen(WORKER)
    async with database._writer.begin() as connection:
        await connection.execute(workers.update().values(seen_at=now() - timedelta(hours=25)))
    await registry.seen(replace(WORKER, id="two"))
    assert [worker.id for worker in await registry.within(1e6)] == ["two"]
