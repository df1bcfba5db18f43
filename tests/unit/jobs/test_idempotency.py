"""Work that is done once: who waits, who is answered, and what becomes of a claim that is lost."""

import asyncio
from dataclasses import dataclass, field

import pytest

from src.domain.errors import EngineUnavailable, IdempotencyConflict, IdempotencyMismatch, NotFound
from src.domain.repositories import Claim
from src.services.jobs.idempotency import run_once
from tests.fakes.fake_stores import MemoryIdempotency
from tests.fakes.fakes import Gate, open_gate
from tests.support.waiting import until


@dataclass
class Work:
    """Makes a number each time that it is done."""

    store: MemoryIdempotency = field(default_factory=MemoryIdempotency)
    gate: Gate = field(default_factory=open_gate)
    error: Exception | None = None
    made: int = 0

    async def ask(self, key: str | None = "key", fingerprint: str = "body") -> int:
        claim = None if key is None else Claim("ann", key, fingerprint)
        return await run_once(self.store, claim, self._make, keep=str, again=self._again)

    async def _make(self) -> int:
        await self.gate()
        if self.error is not None:
            raise self.error
        self.made += 1
        return self.made

    async def _again(self, kept: str) -> int:
        if int(kept) > self.made:
            raise NotFound("It is gone.")
        return int(kept)


async def test_without_a_key_each_request_is_its_own() -> None:
    work = Work()
    assert [await work.ask(None), await work.ask(None)] == [1, 2]


async def test_the_same_key_gets_the_first_answer_and_another_body_none() -> None:
    work = Work()
    assert [await work.ask(), await work.ask(), await work.ask("other"), await work.ask()] == [1, 1, 2, 1]
    with pytest.raises(IdempotencyMismatch):
        await work.ask(fingerprint="other body")


async def test_a_second_request_is_told_to_wait_while_the_first_is_at_work() -> None:
    work = Work(gate=Gate())
    first = asyncio.create_task(work.ask())
    while not work.gate.inside:
        await asyncio.sleep(0)
    with pytest.raises(IdempotencyConflict):
        await work.ask()
    work.gate.opened.set()
    assert (await first, await work.ask()) == (1, 1)


async def test_work_that_fails_or_is_cancelled_frees_the_key() -> None:
    work = Work(error=EngineUnavailable("not now"))
    with pytest.raises(EngineUnavailable):
        await work.ask()
    work.error = None
    assert await work.ask() == 1
    work = Work(gate=Gate())
    asking = asyncio.create_task(work.ask())
    while not work.gate.inside:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    work.gate.opened.set()
    assert await work.ask() == 1


async def test_an_answer_that_is_gone_is_not_found() -> None:
    work = Work()
    await work.ask()
    work.made = 0
    with pytest.raises(NotFound):
        await work.ask()


async def test_the_claim_of_long_work_is_renewed() -> None:
    work = Work(MemoryIdempotency(claim_seconds=0.3), Gate())
    asking = asyncio.create_task(work.ask())
    await until(lambda: work.store.renewals >= 6)  # twice as long as a claim lasts
    work.gate.opened.set()
    assert await asking == 1
    renewals = work.store.renewals
    await asyncio.sleep(0.2)
    assert work.store.renewals == renewals


async def test_work_whose_claim_another_took_is_ended() -> None:
    work = Work(MemoryIdempotency(claim_seconds=0.1, lost=True), Gate())
    with pytest.raises(IdempotencyConflict):
        await work.ask()
    assert (work.gate.cancelled, work.made) == (1, 0)


async def test_work_is_ended_when_its_claim_could_not_be_renewed_in_time() -> None:
    work = Work(MemoryIdempotency(claim_seconds=0.3, error=EngineUnavailable("no database")), Gate())
    with pytest.raises(IdempotencyConflict):
        await work.ask()
    assert work.gate.cancelled == 1
    assert work.store.renewals >= 2


async def test_a_time_out_of_the_work_is_its_own() -> None:
    work = Work(error=TimeoutError("the work's"))
    with pytest.raises(TimeoutError, match="the work's"):
        await work.ask()
