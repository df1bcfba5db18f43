"""Leases are renewed from a thread, whatever the service's own loop is at."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from src.domain.errors import EngineUnavailable
from src.workers.lease_keeper import LeaseKeeper
from tests.support.job_rows import job
from tests.support.waiting import until

LEASE_SECONDS = 0.3
JOB = replace(job("a"), fence=7)


@dataclass
class Rows:
    """Renews what is in `ours`; raises what is in `errors` first."""

    ours: set[str] = field(default_factory=lambda: {"a", "b"})
    errors: list[Exception] = field(default_factory=list)
    beats: list[dict[str, int]] = field(default_factory=list)
    closed: bool = False

    async def renew(self, held: Mapping[str, int], lease_seconds: float) -> set[str]:
        assert lease_seconds == LEASE_SECONDS
        self.beats.append(dict(held))
        if self.errors:
            raise self.errors.pop()
        return self.ours & held.keys()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Rows"]:
        try:
            yield self
        finally:
            self.closed = True


@asynccontextmanager
async def keeping(rows: Rows) -> AsyncIterator[LeaseKeeper]:
    keeper = LeaseKeeper(rows.opened, LEASE_SECONDS)
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.close()
    assert rows.closed
    assert not keeper.alive


async def test_a_busy_loop_keeps_nothing_from_being_renewed() -> None:
    rows = Rows()
    async with keeping(rows) as keeper:
        with keeper.held(JOB, lambda: None):
            while rows.beats.count({"a": 7}) < 2:
                time.sleep(0.01)  # noqa: ASYNC251 - as a model does that blocks the loop


async def test_what_is_not_held_any_more_is_not_renewed() -> None:
    rows = Rows()
    async with keeping(rows) as keeper:
        with keeper.held(JOB, lambda: None), keeper.held(replace(JOB, id="b"), lambda: None):
            await until(lambda: {"a": 7, "b": 7} in rows.beats)
        rows.beats.clear()
        await until(lambda: len(rows.beats) > 1)
        assert not any(rows.beats[1:])


async def test_the_holder_of_a_lost_lease_is_told_on_its_own_loop() -> None:
    rows = Rows(ours={"b"})
    told: list[asyncio.AbstractEventLoop] = []
    async with keeping(rows) as keeper:
        kept: list[str] = []
        with (
            keeper.held(JOB, lambda: told.append(asyncio.get_running_loop())),
            keeper.held(replace(JOB, id="b"), lambda: kept.append("lost")),
        ):
            await until(lambda: bool(told))
    assert set(told) == {asyncio.get_running_loop()}
    assert kept == []


@pytest.mark.parametrize("error", [EngineUnavailable("The database does not answer."), LookupError("secret")])
async def test_a_beat_that_fails_ends_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    rows = Rows(errors=[error])
    lost: list[str] = []
    async with keeping(rows) as keeper:
        with keeper.held(JOB, lambda: lost.append("a")):
            await until(lambda: len(rows.beats) > 2)
        assert keeper.alive
    assert lost == []
    assert "were not renewed" in caplog.text
    assert "secret" not in caplog.text
