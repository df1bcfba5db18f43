"""Engine calls and workers in the database: how calls wait and by whom they are done stands in `leased_rows.py`."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.jobs.leased_rows import LeasedRows
from src.adapters.database.mapping import columns, error_to_json
from src.adapters.database.statements import only
from src.adapters.database.tables import engine_calls as calls
from src.adapters.database.tables import workers
from src.domain.errors import NotFound
from src.domain.leases import EngineCall, WorkerState

_OVERDUE_AT_ONCE = 100
_CALL: TypeAdapter[EngineCall] = TypeAdapter(EngineCall)


class SqlCallRepository(LeasedRows[EngineCall]):
    """Implements CallRepository and LeaseRepository."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, calls, _from_row, fresh={}, noun="engine calls")

    async def add(self, call: EngineCall, most_waiting: int, seconds: float) -> None:
        place = {"expires_at": self._database.later(seconds), "turn": self._turn(call.user_id, call.priority)}
        values = columns(calls, call, error=error_to_json(call.error), **place)

        async def work(connection: AsyncConnection) -> None:
            await self._require_room(connection, most_waiting)
            await self._insert(connection, values)

        await self._database.write(work, repeatable=True)

    async def get(self, call_id: str) -> EngineCall:
        row = only(await self._database.read(select(calls).where(calls.c.id == call_id)))
        if row is None:
            raise NotFound("There is no such engine call.")
        return _from_row(row)

    async def finish(self, call: EngineCall) -> bool:
        outcome = {"error": error_to_json(call.error), "updated_at": call.updated_at}

        async def work(connection: AsyncConnection) -> bool:
            ended = await self._end(connection, call, call.status, outcome)
            return ended or await self._has_ended(connection, call, call.status)

        return await self._database.write(work, repeatable=True)

    async def overdue(self) -> list[EngineCall]:
        """Some of them."""
        over = calls.c.expires_at <= self._database.later(0)
        return [_from_row(row) for row in await self._database.read(select(calls).where(over).limit(_OVERDUE_AT_ONCE))]

    def _claimable(self) -> ColumnElement[bool]:
        return and_(self._pending, calls.c.expires_at > self._database.later(0))


def _from_row(row: Row[Any]) -> EngineCall:
    return _CALL.validate_python(row._asdict())


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
        return [_WORKER.validate_python({**row._asdict(), **row.capabilities}) for row in rows]


def _to_values(worker: WorkerState) -> dict[str, Any]:
    told = _WORKER.dump_python(worker, mode="json", include={"hears", "speaks", "notices"})
    for abilities in (told["hears"], told["speaks"]):
        abilities["languages"].sort()
    return columns(workers, worker, capabilities=told)
