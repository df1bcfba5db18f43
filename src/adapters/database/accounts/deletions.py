"""Deletions in the database. Raises Overloaded and EngineUnavailable when it cannot answer."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.accounts.audit import forget_user, note
from src.adapters.database.accounts.user_rows import remove
from src.adapters.database.deletion_tables import deletions, erasures
from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.statements import change, only, require_not_deleted, returned
from src.adapters.database.tables import translation_jobs, voice_profiles
from src.domain.accounts import Deletion, DeletionKind
from src.domain.errors import NotFound
from src.domain.jobs import VoiceProfile, now


class SqlPlans:
    """Implements PlannedErasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(
        self, paths: Collection[str], owner: str, profile_id: str | None, seconds: float, *, since: datetime
    ) -> None:
        shared = {"owner": owner, "profile_id": profile_id, "due_at": self._database.later(seconds), "passes": 0}

        async def work(connection: AsyncConnection) -> None:
            await require_not_deleted(self._database, connection, owner, since)
            if profile_id is not None:
                there = select(voice_profiles.c.id).where(voice_profiles.c.id == profile_id).with_for_update(read=True)
                if (await connection.execute(there)).first() is None:
                    raise NotFound("The voice profile was deleted meanwhile.")
            for path in paths:
                row = self._database.insert(erasures).values(path=path, **shared)
                await connection.execute(row.on_conflict_do_nothing())

        await self._database.write(work, repeatable=True)

    async def erased(self, paths: Collection[str]) -> None:
        these = erasures.c.path.in_(paths) & erasures.c.deletion_id.is_(None)
        await change(self._database, erasures.delete().where(these), repeatable=True)


async def call_off(connection: AsyncConnection, paths: Sequence[str]) -> None:
    """The files stay. Raises NotFound when they are being erased: what they are of was deleted, or it took too long."""
    these = erasures.c.path.in_(paths) & erasures.c.deletion_id.is_(None)
    if (await connection.execute(erasures.delete().where(these))).rowcount != len(paths):
        raise NotFound("The voice profile was deleted while it was made.")


async def plan_now(
    database: Database, connection: AsyncConnection, paths: Sequence[str], profile: VoiceProfile
) -> None:
    """They are to be erased from now on."""
    shared = {"owner": profile.user_id, "profile_id": profile.id, "due_at": database.later(0), "passes": 0}
    for path in paths:
        row = database.insert(erasures).values(path=path, **shared)
        await connection.execute(row.on_conflict_do_nothing())


SETTLE_SECONDS = 40.0
"""An upload or a cache that was just being written when the deletion came is through by then; all is gone in 60 s."""
KEEP_SECONDS = 366 * 24 * 3600.0
"""Hashes of what was deleted, to search a restored backup for it: above BACKUP_KEEP_DAYS."""
_LEASE_SECONDS = 12.0
_LONGEST_PAUSE_SECONDS = 300.0
_JOB_FILE = re.compile(r"(?:results/(?P<result>[^/]+)/[^/]+|inputs/(?P<input>[^/.]+)\.\w+)")
_VOICE_FILE = re.compile(r"(?:references|embeddings)/(?P<version>[0-9a-f]{32})(?:-\d)?\.\w+")
"""Other names are none of these rows', and are left alone."""


class SqlDeletions(SqlPlans):
    """Implements DeletionRepository. `settle_seconds` after the request nobody writes what was begun before it; what is
    remembered is kept for `keep_seconds`.
    """

    def __init__(
        self, database: Database, settle_seconds: float = SETTLE_SECONDS, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        super().__init__(database)
        self._settle_seconds = settle_seconds
        self._keep_seconds = keep_seconds

    async def request(self, kind: DeletionKind, subject: str, owner: str, by: str) -> Deletion:
        time, hashed = now(), self._database.pseudonyms.hash
        settles_at = time + timedelta(seconds=self._settle_seconds)
        deletion = Deletion(uuid4().hex, kind, subject, owner, time, settles_at)
        hashes = {"subject_hash": hashed(subject), "owner_hash": hashed(owner)}
        row = columns(deletions, deletion, **hashes, next_attempt_at=self._database.later(_LEASE_SECONDS), attempts=1)

        async def work(connection: AsyncConnection) -> Deletion:
            await connection.execute(deletions.insert().values(row))
            jobs = await remove(self._database, connection, deletion)
            await note(connection, self._database.pseudonyms, deletion, by)
            return Deletion(deletion.id, kind, subject, owner, time, settles_at, 1, jobs)

        return await self._database.write(work)

    async def open_owners(self) -> list[str]:
        rows = await self._database.read(select(deletions.c.owner).where(_open()).distinct())
        return [row.owner for row in rows if row.owner is not None]

    async def claim(self) -> Deletion | None:
        due = select(deletions.c.id, deletions.c.attempts).where(
            _open(), deletions.c.next_attempt_at <= self._database.present()
        )
        due = due.order_by(deletions.c.next_attempt_at).limit(1)
        found = await self._database.read(due)  # most looks find nothing: they take no lock
        if not found:
            return None
        pause = min(_LEASE_SECONDS * 2 ** min(max(0, found[0].attempts - 2), 8), _LONGEST_PAUSE_SECONDS)
        chosen = due.with_only_columns(deletions.c.id).with_for_update(skip_locked=True).scalar_subquery()
        take = deletions.update().where(deletions.c.id == chosen).returning(deletions)
        take = take.values(attempts=deletions.c.attempts + 1, next_attempt_at=self._database.later(pause))
        row = only(await returned(self._database, take))
        return None if row is None else _from_row(row)

    async def paths(self, deletion: Deletion, passes: int, most: int) -> list[str]:
        query = select(erasures.c.path).where(erasures.c.deletion_id == deletion.id, erasures.c.passes < passes)
        return [row.path for row in await self._database.read(query.order_by(erasures.c.path).limit(most))]

    async def passed(self, deletion: Deletion, paths: Sequence[str]) -> None:
        these = (erasures.c.deletion_id == deletion.id) & erasures.c.path.in_(paths)
        once_more = erasures.update().where(these).values(passes=erasures.c.passes + 1)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(once_more)
            await connection.execute(self._held(deletion, self._database.later(_LEASE_SECONDS)))

        await self._database.write(work)

    async def settle(self, deletion: Deletion) -> None:
        await change(self._database, self._held(deletion, deletion.settles_at, attempts=0), repeatable=True)

    async def finish(self, deletion: Deletion) -> None:
        done = self._held(deletion, now(), subject=null(), owner=null(), done_at=now())

        async def work(connection: AsyncConnection) -> None:
            if deletion.kind is DeletionKind.USER:  # what running work has noted since
                await forget_user(connection, self._database.pseudonyms, deletion.owner)
            await connection.execute(erasures.delete().where(erasures.c.deletion_id == deletion.id))
            await connection.execute(done)

        await self._database.write(work, repeatable=True)
        await self._database.scrub()

    async def due_paths(self, most: int) -> list[str]:
        due = select(erasures.c.path).where(
            erasures.c.deletion_id.is_(None), erasures.c.due_at <= self._database.present()
        )
        due = due.order_by(erasures.c.due_at).limit(most)
        if not await self._database.read(due.limit(1)):
            return []
        chosen = due.with_for_update(skip_locked=True).scalar_subquery()
        take = erasures.update().where(erasures.c.path.in_(chosen)).returning(erasures.c.path)
        take = take.values(due_at=self._database.later(_LONGEST_PAUSE_SECONDS))
        return [row.path for row in await returned(self._database, take)]

    async def without_row(self, keys: Sequence[str]) -> list[str]:
        jobs = {key: found["result"] or found["input"] for key in keys if (found := _JOB_FILE.fullmatch(key))}
        voices = {key: f"embeddings/{found['version']}.voice" for key in keys if (found := _VOICE_FILE.fullmatch(key))}
        known = await self._found(translation_jobs.c.id, set(jobs.values()))
        known |= await self._found(voice_profiles.c.embedding_path, set(voices.values()))
        known |= await self._found(erasures.c.path, set(keys))
        return [key for key, row in {**jobs, **voices}.items() if row not in known and key not in known]

    async def expire(self) -> int:
        old = deletions.c.requested_at <= now() - timedelta(seconds=self._keep_seconds)
        return await change(self._database, deletions.delete().where(old, deletions.c.done_at.is_not(None)))

    async def _found(self, column: ColumnElement[str], values: set[str]) -> set[str]:
        if not values:
            return set()
        return {row[0] for row in await self._database.read(select(column).where(column.in_(values)))}

    def _held(self, deletion: Deletion, next_attempt_at: Any, **values: Any) -> Any:
        this = deletions.update().where(deletions.c.id == deletion.id, _open())
        return this.values(next_attempt_at=next_attempt_at, **values)


def _open() -> ColumnElement[bool]:
    return deletions.c.done_at.is_(None)


def _from_row(row: Row[Any]) -> Deletion:
    return Deletion(
        row.id, DeletionKind(row.kind), row.subject, row.owner, row.requested_at, row.settles_at, row.attempts
    )
