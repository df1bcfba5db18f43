"""How many exports are made at a time, and what comes before the first byte."""

import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import pytest

from src.domain.accounts import Rows
from src.domain.errors import EngineUnavailable, Overloaded
from src.services.accounts.export import Export
from tests.fakes.fake_stores import MemoryStorage


class OneTable:
    tables = ("users",)

    def __init__(self, *, away: bool = False) -> None:
        self._away = away

    async def rows(self, table: str, user_id: str) -> AsyncIterator[Rows]:
        if self._away:
            raise EngineUnavailable("The database does not answer.")
        yield [{"table": table, "id": user_id}]

    async def paths(self, user_id: str) -> AsyncIterator[list[str]]:
        yield [f"references/{user_id}.wav"]


async def test_two_at_a_time_and_the_next_when_one_has_ended_or_was_left() -> None:
    storage = MemoryStorage()
    await storage.put("references/anna.wav", b"a voice")
    export = Export(OneTable(), storage)
    first, second = [await export.start("anna", audio=True) for _ in range(2)]
    with pytest.raises(Overloaded):
        await export.start("anna", audio=True)
    archive = zipfile.ZipFile(io.BytesIO(b"".join([piece async for piece in first])))
    assert archive.read("files/references/anna.wav") == b"a voice"
    third = await export.start("anna", audio=True)
    for left in (second, third):
        await anext(left)
        await cast("AsyncGenerator[bytes, None]", left).aclose()
    assert [await export.start("anna", audio=True) for _ in range(2)]


async def test_a_database_that_is_away_is_told_before_anything_is_sent() -> None:
    export = Export(OneTable(away=True), MemoryStorage())
    for _ in range(3):
        with pytest.raises(EngineUnavailable):
            await export.start("anna", audio=False)
