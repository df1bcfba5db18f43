"""The outbox of callbacks: written with the final state of their jobs, taken by whichever process sends them.

Raises Overloaded and EngineUnavailable when the database cannot answer.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.statements import change, only, returned
from src.adapters.database.tables import callbacks
from src.domain.callbacks import Callback, Receipt, callback_for
from src.domain.jobs import Job, now

_waiting = and_(callbacks.c.delivered_at.is_(None), callbacks.c.given_up_at.is_(None))
"""In the words of the partial index."""


async def enqueue_callback(database: Database, connection: AsyncConnection, job: Job) -> None:
    """Put the callback of an ended job into the outbox, if its caller wants one, in the transaction that writes the
    job's final state: either both are stored, or neither. A job has one end, and one callback.
    """
    callback = callback_for(job)
    if callback is not None:
        row = database.insert(callbacks).values(columns(callbacks, callback, next_attempt_at=callback.created_at))
        await connection.execute(row.on_conflict_do_nothing(index_elements=["job_id"]))


class SqlCallbackOutbox:
    """Implements CallbackOutbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, lease_seconds: float, without_hosts: Collection[str] = ()) -> Callback | None:
        due = select(callbacks.c.id).where(_waiting, callbacks.c.next_attempt_at <= self._database.present())
        if without_hosts:
            due = due.where(callbacks.c.host.not_in(sorted(without_hosts)))
        due = due.order_by(callbacks.c.next_attempt_at).limit(1)
        if not await self._database.read(due):  # most looks find nothing: they take no lock
            return None
        chosen = due.with_for_update(skip_locked=True).scalar_subquery()
        take = callbacks.update().where(callbacks.c.id == chosen)
        take = take.values(attempts=callbacks.c.attempts + 1, next_attempt_at=self._database.later(lease_seconds))
        row = only(await returned(self._database, take.returning(callbacks)))
        return None if row is None else _from_row(row)

    async def delivered(self, callback: Callback, receipt: Receipt) -> None:
        await self._note(callback, receipt, delivered_at=now())

    async def retry(self, callback: Callback, receipt: Receipt, in_seconds: float) -> None:
        await self._note(callback, receipt, next_attempt_at=self._database.later(in_seconds))

    async def give_up(self, callback: Callback, receipt: Receipt) -> None:
        await self._note(callback, receipt, given_up_at=now())

    async def waiting_since(self, seconds_ago: float, most: int) -> int:
        old = callbacks.c.created_at <= now() - timedelta(seconds=seconds_ago)
        some = select(callbacks.c.id).where(_waiting, old).limit(most).subquery()
        rows = await self._database.read(select(func.count()).select_from(some))
        return int(rows[0][0])

    async def _note(self, callback: Callback, receipt: Receipt, **changes: Any) -> None:
        """What this attempt came to, unless the row is gone or a later attempt was begun."""
        this = and_(callbacks.c.id == callback.id, callbacks.c.attempts == callback.attempts, _waiting)
        note = callbacks.update().where(this)
        note = note.values(last_status=receipt.status, last_error=receipt.error, **changes)
        await change(self._database, note, repeatable=True)


def _from_row(row: Row[Any]) -> Callback:
    return Callback(row.id, row.job_id, row.user_id, row.url, row.type, row.data, row.attempts, row.created_at)
