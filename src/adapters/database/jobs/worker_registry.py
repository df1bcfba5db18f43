"""The workers of a service, in the database that they share."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.tables import workers
from src.domain.leases import WorkerState

_KEPT_SECONDS = 24 * 3600.0
_WORKER: TypeAdapter[WorkerState] = TypeAdapter(WorkerState)


class SqlWorkerRegistry:
    """Implements WorkerRegistry. Rows of workers that are gone are kept for a day. The clock is the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen(self, worker: WorkerState) -> None:
        values = {**_to_values(worker), "seen_at": self._database.later(0)}
        row = self._database.insert(workers).values(values)
        changing = {name: values[name] for name in ("seen_at", "draining", "running", "capabilities")}
        upsert = row.on_conflict_do_update(index_elements=["id"], set_=changing)
        old = workers.delete().where(workers.c.seen_at < self._database.later(-_KEPT_SECONDS))

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(old)
            await connection.execute(upsert)

        await self._database.write(work, repeatable=True)

    async def within(self, seconds: float) -> list[WorkerState]:
        query = select(workers).where(workers.c.seen_at >= self._database.later(-seconds))
        rows = await self._database.read(query.order_by(workers.c.started_at.desc(), workers.c.id))
        return [_from_row(row) for row in rows]


def _to_values(worker: WorkerState) -> dict[str, Any]:
    told = _WORKER.dump_python(worker, mode="json", include={"hears", "speaks", "notices"})
    for abilities in (told["hears"], told["speaks"]):
        abilities["languages"].sort()
    return columns(workers, worker, capabilities=told)


def _from_row(row: Row[Any]) -> WorkerState:
    return _WORKER.validate_python({**row._asdict(), **row.capabilities})
