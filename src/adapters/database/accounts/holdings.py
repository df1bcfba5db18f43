"""A user's rows in every table that has any: a new table is among them by its column `user_id`."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import ColumnElement, Table, literal, select, tuple_

from src.adapters.database.accounts.deletion_rows import tables_of_users
from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.tables import revocations, translation_jobs, users, voice_profiles
from src.domain.accounts import Rows
from src.domain.identity import user_subject

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
