"""A user's rows in every table that has any, a new one by its column `user_id`: taken away when something is deleted,
in the transaction of one connection, the paths of their files listed; or read.
"""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, literal, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.accounts.audit import forget_jobs, forget_profiles, forget_user
from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.statements import know_user
from src.adapters.database.tables import (
    audit_log,
    engine_calls,
    idempotency_keys,
    metadata,
    revocations,
    translation_jobs,
    users,
    voice_profiles,
)
from src.domain.accounts import Deletion, DeletionKind, Rows
from src.domain.errors import NotFound
from src.domain.identity import user_subject
from src.domain.jobs import JobStatus
from src.domain.leases import FOLDER as CALLS

_OPEN = (JobStatus.PENDING.value, JobStatus.PROCESSING.value)

KEPT_OF_USERS = (audit_log.name,)
"""Tables with a `user_id` whose rows outlive the user: the log, under a pseudonym."""


async def remove(database: Database, connection: AsyncConnection, deletion: Deletion) -> tuple[str, ...]:
    """The ids of jobs that were waiting or running. Raises NotFound."""
    removal = _Removal(database, connection, deletion)
    if deletion.kind is DeletionKind.USER:
        return await removal.user()
    return await (removal.job() if deletion.kind is DeletionKind.JOB else removal.profile())


def tables_of_users() -> list[Table]:
    """Those with rows of users, each before those that it refers to."""
    return [table for table in reversed(metadata.sorted_tables) if "user_id" in table.c]


class _Removal:
    def __init__(self, database: Database, connection: AsyncConnection, deletion: Deletion) -> None:
        self._database = database
        self._connection = connection
        self._deletion = deletion
        self._subject, self._owner = deletion.subject, deletion.owner

    async def job(self) -> tuple[str, ...]:
        this = (translation_jobs.c.id == self._subject) & (translation_jobs.c.user_id == self._owner)
        return await self._jobs(this, needed=True)

    async def profile(self) -> tuple[str, ...]:
        this = (voice_profiles.c.id == self._subject) & (voice_profiles.c.user_id == self._owner)
        if not await self._list_files_of_profiles(this):
            raise NotFound("There is no such voice profile.")
        running = await self._jobs(translation_jobs.c.voice_profile_id == self._subject)
        await self._take_over(erasures.c.profile_id == self._subject)
        answers = idempotency_keys.c.value.contains(self._subject, autoescape=True)  # as `clone` keeps its path
        await self._do(idempotency_keys.update().where(answers).values(value=""))
        await self._do(voice_profiles.delete().where(this))  # and its consents
        await forget_profiles(self._connection, self._database.pseudonyms, [self._subject])
        return running

    async def user(self) -> tuple[str, ...]:
        """Whoever writes a row of this user waits for the end of this transaction, and finds that it came."""
        await know_user(self._database, self._connection, self._owner)
        await self._connection.execute(select(users.c.id).where(users.c.id == self._owner).with_for_update())
        await self._list_files_of_profiles(voice_profiles.c.user_id == self._owner)
        of_calls = literal(f"{CALLS}/") + engine_calls.c.id + literal("/")
        await self._list(select(of_calls).where(engine_calls.c.user_id == self._owner))
        running = await self._jobs(translation_jobs.c.user_id == self._owner)
        await self._take_over(erasures.c.owner == self._owner)
        for table in tables_of_users():
            if table.name not in KEPT_OF_USERS:
                await self._do(table.delete().where(table.c.user_id == self._owner))
        await self._do(users.delete().where(users.c.id == self._owner))
        await forget_user(self._connection, self._database.pseudonyms, self._owner)
        return running

    async def _jobs(self, which: ColumnElement[bool], *, needed: bool = False) -> tuple[str, ...]:
        """With their callbacks. `needed`: raises NotFound when there are none."""
        inputs = select(translation_jobs.c.input_key).where(which)
        results = select(literal("results/") + translation_jobs.c.id + literal("/")).where(which)
        await self._list(inputs)
        await self._list(results)
        ids = select(translation_jobs.c.id).where(which).scalar_subquery()
        await self._do(idempotency_keys.update().where(idempotency_keys.c.value.in_(ids)).values(value=""))
        gone = translation_jobs.delete().where(which).returning(translation_jobs.c.id, translation_jobs.c.status)
        rows = (await self._connection.execute(gone)).all()
        if needed and not rows:
            raise NotFound("There is no such job.")
        await forget_jobs(self._connection, self._database.pseudonyms, [row.id for row in rows])
        return tuple(row.id for row in rows if row.status in _OPEN)

    async def _list_files_of_profiles(self, which: ColumnElement[bool]) -> int:
        """How many there are."""
        profiles = voice_profiles.c
        columns = profiles.id, profiles.embedding_path, profiles.reference_audio_path, profiles.additional_audio_paths
        found = (await self._connection.execute(select(*columns).where(which))).all()
        for row in found:
            paths = [row.embedding_path, row.reference_audio_path, *(row.additional_audio_paths or ())]
            await self._list(union_all(*(select(literal(path)) for path in (*paths, f"clones/{row.id}/"))))
        return len(found)

    async def _list(self, paths: Any) -> None:
        """To be erased now. One that was listed for a job of before, whose id is the same, is listed anew."""
        found: Any = paths.subquery()
        row: Select[Any] = select(
            found.c[0],
            literal(self._owner),
            null(),
            literal(self._deletion.id),
            literal(self._deletion.requested_at, erasures.c.due_at.type),
            literal(0),
        ).where(literal(1) == literal(1))  # SQLite wants a WHERE before ON CONFLICT
        names = ["path", "owner", "profile_id", "deletion_id", "due_at", "passes"]
        insert = self._database.insert(erasures).from_select(names, row)
        anew = {"deletion_id": insert.excluded.deletion_id, "passes": 0}
        await self._do(insert.on_conflict_do_update(index_elements=["path"], set_=anew))

    async def _take_over(self, which: ColumnElement[bool]) -> None:
        """What was planned for some time is to be erased now, and what was being written comes to nothing."""
        planned = erasures.c.deletion_id.is_(None)
        await self._do(erasures.update().where(which, planned).values(deletion_id=self._deletion.id, passes=0))

    async def _do(self, statement: Any) -> None:
        await self._connection.execute(statement)


_PAGE = 500


class SqlHoldings:
    """Implements Holdings."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owned = {table.name: table for table in (*tables_of_users(), users, revocations)}

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self._owned))

    async def rows(self, table: str, user_id: str) -> AsyncIterator[Rows]:
        of = self._owned[table]
        async for rows in self._pages(of, _is_of(of, user_id), list(of.c)):
            yield [dict(zip(of.c.keys(), row, strict=True)) for row in rows]

    async def paths(self, user_id: str) -> AsyncIterator[list[str]]:
        results = (literal("results/") + translation_jobs.c.id + literal("/")).label("results")
        jobs = translation_jobs.c.user_id == user_id
        async for rows in self._pages(
            translation_jobs, jobs, [translation_jobs.c.id, translation_jobs.c.input_key, results]
        ):
            yield [path for row in rows for path in (row.input_key, row.results)]
        columns = voice_profiles.c
        wanted = [columns.id, columns.embedding_path, columns.reference_audio_path, columns.additional_audio_paths]
        async for rows in self._pages(voice_profiles, columns.user_id == user_id, wanted):
            for row in rows:
                yield [row.embedding_path, row.reference_audio_path, *(row.additional_audio_paths or ())]
        kept = (erasures.c.owner == user_id) & erasures.c.deletion_id.is_(None)
        async for rows in self._pages(erasures, kept, [erasures.c.path]):
            yield [row.path for row in rows]

    async def _pages(self, table: Table, which: ColumnElement[bool], columns: list[Any]) -> AsyncIterator[list[Any]]:
        """By primary key, so that rows that come or go meanwhile shift no page."""
        key = list(table.primary_key.columns)
        after: list[Any] | None = None
        while True:
            query = select(*columns).where(which).order_by(*key).limit(_PAGE)
            if after is not None:
                last = [literal(value, column.type) for value, column in zip(after, key, strict=True)]
                query = query.where(tuple_(*key) > tuple_(*last))
            rows = list(await self._database.read(query))
            if rows:
                yield rows
            if len(rows) < _PAGE:
                return
            after = [getattr(rows[-1], column.name) for column in key]


def _is_of(table: Table, user_id: str) -> ColumnElement[bool]:
    if table is users:
        return users.c.id == user_id
    if table is revocations:
        return revocations.c.subject == user_subject(user_id)
    of_user: ColumnElement[bool] = table.c.user_id == user_id
    return of_user
