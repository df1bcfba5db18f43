"""The workers of a service, in the database that they share."""

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.tables import workers
from src.domain.fleet import Abilities, WorkerState

_KEPT_SECONDS = 24 * 3600.0


class SqlWorkerRegistry:
    """Implements WorkerRegistry. Rows of workers that are gone are kept for a day. The clock is the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen(self, worker: WorkerState) -> None:
        """It lives, and this is how it is now."""
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
        """Those that were seen in the last `seconds`, newest first."""
        query = select(workers).where(workers.c.seen_at >= self._database.later(-seconds))
        rows = await self._database.read(query.order_by(workers.c.started_at.desc(), workers.c.id))
        return [_from_row(row) for row in rows]


def _to_values(worker: WorkerState) -> dict[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "device": worker.device,
        "started_at": worker.started_at,
        "draining": worker.draining,
        "slots": worker.slots,
        "running": worker.running,
        "capabilities": {
            "hears": _abilities_to_json(worker.hears),
            "speaks": _abilities_to_json(worker.speaks),
            "notices": list(worker.notices),
        },
    }


def _from_row(row: Row[Any]) -> WorkerState:
    return WorkerState(
        id=row.id,
        host=row.host,
        device=row.device,
        slots=row.slots,
        running=row.running,
        hears=_abilities_from_json(row.capabilities["hears"]),
        speaks=_abilities_from_json(row.capabilities["speaks"]),
        draining=row.draining,
        notices=tuple(row.capabilities["notices"]),
        started_at=row.started_at,
    )


def _abilities_to_json(abilities: Abilities) -> dict[str, Any]:
    return {"engine": abilities.engine, "languages": sorted(abilities.languages), "varies": abilities.varies}


def _abilities_from_json(value: dict[str, Any]) -> Abilities:
    return Abilities(value["engine"], frozenset(value["languages"]), value["varies"])
