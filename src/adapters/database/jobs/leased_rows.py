"""Rows that wait in a fair queue and are done by workers with leases: what jobs and engine calls have in common.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    ScalarSelect,
    Table,
    and_,
    func,
    literal_column,
    null,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.statements import change, returned
from src.domain.errors import Overloaded
from src.domain.jobs import JobStatus, Priority, now
from src.domain.leases import Leased

T = TypeVar("T", bound=Leased)

RETRY_AFTER_SECONDS = 5.0  # about the time of one short job


def queue_order(table: FromClause) -> tuple[ColumnElement[Any], ...]:
    """What waiting rows are taken by, the lowest first."""
    return table.c.priority, table.c.turn, table.c.created_at, table.c.id


def is_in(table: FromClause, status: JobStatus) -> ColumnElement[bool]:
    """Written out, as in the partial indexes: a parameter would hide from Postgres that it may use them."""
    return table.c.status == literal_column(f"'{status.value}'")


class LeasedRows(Generic[T]):
    """Implements LeaseRepository, and LeasedRepository but for `get`.

    `table` has the columns id, user_id, status, attempts, created_at, updated_at, priority, turn, lease_until, fence
    and cancel_requested. `from_row` makes of a row what workers get. `fresh`: columns to set when a row is queued
    again. `noun`, in the plural, for messages.
    """

    def __init__(
        self, database: Database, table: Table, from_row: Callable[[Row[Any]], T], fresh: Mapping[str, Any], noun: str
    ) -> None:
        self._database = database
        self._rows = table.c
        self._table = table
        self._from_row = from_row
        self._noun = noun
        self._waits = {**fresh, "status": JobStatus.PENDING.value, "lease_until": null()}
        self._pending, self._processing = is_in(table, JobStatus.PENDING), is_in(table, JobStatus.PROCESSING)
        self._open = self._rows.status.in_([JobStatus.PENDING.value, JobStatus.PROCESSING.value])

    async def claim(self, lease_seconds: float, *, begun_below: int | None = None) -> T | None:
        """None, also when each that waits is just being taken by somebody else."""
        waiting = select(self._rows.id).where(self._claimable())
        if begun_below is not None:
            waiting = waiting.where(self._rows.attempts < begun_below)
        first = waiting.order_by(*queue_order(self._table)).limit(1).with_for_update(skip_locked=True)
        attempt = {"status": JobStatus.PROCESSING.value, "attempts": self._rows.attempts + 1}
        leased = await self._lease(self._rows.id == first.scalar_subquery(), attempt, lease_seconds)
        return leased[0] if leased else None

    async def renew(self, held: Mapping[str, int], lease_seconds: float) -> set[str]:
        if not held:
            return set()
        ours = tuple_(self._rows.id, self._rows.fence).in_(list(held.items()))
        renewal = self._table.update().where(ours, self._open)
        renewal = renewal.values(status=JobStatus.PROCESSING.value, lease_until=self._database.later(lease_seconds))
        rows = await returned(self._database, renewal.returning(self._rows.id), repeatable=True)
        return {row.id for row in rows}

    async def give_back(self, row: T) -> None:
        values = {**self._waits, "attempts": self._rows.attempts - 1}
        back = self._table.update().where(self._ours(row), self._processing).values(values)
        await change(self._database, back, repeatable=True)

    async def request_cancel(self, row_id: str) -> None:
        request = self._table.update().where(self._rows.id == row_id, self._open).values(cancel_requested=True)
        await change(self._database, request, repeatable=True)

    async def requeue_expired(self, max_attempts: int) -> list[str]:
        expired = self._table.update().where(self._run_out(), self._rows.attempts < max_attempts).values(self._waits)
        rows = await returned(self._database, expired.returning(self._rows.id), repeatable=True)
        return [row.id for row in rows]

    async def claim_spent(self, max_attempts: int, lease_seconds: float) -> list[T]:
        return await self._lease(and_(self._run_out(), self._rows.attempts >= max_attempts), {}, lease_seconds)

    async def counts(self) -> tuple[int, int]:
        both = (self._pending, self._processing)
        waiting, running = (select(func.count()).where(each).scalar_subquery() for each in both)
        rows = await self._database.read(select(waiting.label("waiting"), running.label("running")))
        return rows[0].waiting, rows[0].running

    async def oldest_waiting_seconds(self) -> float:
        """Since the oldest waiting row was added; 0 where none waits."""
        rows = await self._database.read(select(func.min(self._rows.created_at).label("since")).where(self._pending))
        since = rows[0].since
        return 0.0 if since is None else max(0.0, (now() - since).total_seconds())

    async def delete(self, row_id: str) -> None:
        await change(self._database, self._table.delete().where(self._rows.id == row_id), repeatable=True)

    # --- parts of the statements

    async def _require_room(self, connection: AsyncConnection, most_waiting: int) -> None:
        """Raises Overloaded when that many wait already."""
        last = select(self._rows.id).where(self._pending).offset(most_waiting - 1).limit(1)
        if (await connection.execute(last)).first() is not None:
            detail = f"{most_waiting} {self._noun} are waiting already. Try again."
            raise Overloaded(detail, retry_after_seconds=RETRY_AFTER_SECONDS)

    async def _insert(self, connection: AsyncConnection, values: Mapping[str, Any]) -> None:
        """Nothing happens when it was inserted, and its caller not told so."""
        row = self._database.insert(self._table).values(values)
        await connection.execute(row.on_conflict_do_nothing(index_elements=["id"]))

    async def _end(self, connection: AsyncConnection, row: T, status: JobStatus, outcome: Mapping[str, Any]) -> bool:
        """Write the final state. False when the row is gone, has ended, or was leased to another worker since."""
        final = {**outcome, "status": status.value, "lease_until": null()}
        end = self._table.update().where(self._ours(row), self._open).values(final)
        return (await connection.execute(end)).rowcount > 0

    async def _has_ended(self, connection: AsyncConnection, row: T, status: JobStatus) -> bool:
        """Whether an earlier `_end` of the same lease was committed, whose answer got lost."""
        done = select(self._rows.id).where(self._ours(row), self._rows.status == status.value)
        return (await connection.execute(done)).first() is not None

    def _turn(self, user_id: str, priority: Priority) -> ScalarSelect[int]:
        """One more than the last of this user's rows that wait, but not before the first of all that wait.

        So users are served in turn, and who comes after a pause does not overtake for the turns that were not used:
        start-time fair queueing (Goyal, Vin, Cheng 1996) with every job of the same length.
        """
        waiting = self._table.alias()
        same = and_(waiting.c.status == literal_column("'pending'"), waiting.c.priority == priority.value)
        own = select(func.max(waiting.c.turn) + 1).where(same, waiting.c.user_id == user_id)
        first = select(func.min(waiting.c.turn)).where(same)
        either = union_all(own, first).subquery()
        return select(func.coalesce(func.max(either.c[0]), 0)).scalar_subquery()

    def _claimable(self) -> ColumnElement[bool]:
        return self._pending

    def _run_out(self) -> ColumnElement[bool]:
        return and_(self._processing, self._rows.lease_until < self._database.later(0))

    def _ours(self, row: T) -> ColumnElement[bool]:
        """Whoever took it since has counted its fence up."""
        return and_(self._rows.id == row.id, self._rows.fence == row.fence)

    async def _lease(self, which: ColumnElement[bool], values: Mapping[str, Any], seconds: float) -> list[T]:
        """Not repeatable: the lease of an answer that got lost runs out."""
        lease = {
            **values,
            "fence": self._rows.fence + 1,
            "lease_until": self._database.later(seconds),
            "updated_at": now(),
        }
        statement = self._table.update().where(which).values(lease).returning(self._table)
        return [self._from_row(row) for row in await returned(self._database, statement)]
