"""Does jobs, a fixed number at a time, for as long as any wait."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from src.domain.errors import VoiceServiceError
from src.utils.tracing import where

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(eq=False)
class JobWorker(Generic[T]):
    """`claim` gives the next job or None, `run` does it and keeps its errors to itself. Implements JobQueue for jobs
    that this process does itself.

    `concurrency` slots look for jobs when they are woken, and every `patience()` seconds, as a wake-up may be lost; a
    slot that found one goes on until none waits.
    """

    claim: Callable[[], Awaitable[T | None]]
    run: Callable[[T], Awaitable[None]]
    concurrency: int
    patience: Callable[[], float]
    _slots: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _running: int = field(default=0, init=False)
    _woken: int = field(default=0, init=False)
    _stopping: bool = field(default=False, init=False)
    _watch: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def running(self) -> int:
        """Jobs that are being done now."""
        return self._running

    @property
    def alive(self) -> bool:
        return self._watch is not None and not self._watch.done()

    def start(self) -> None:
        self._watch = asyncio.create_task(self._look_for_ever())

    async def put(self, job_id: str) -> None:
        self._wake()

    async def serve(self) -> bool:
        """Wake a slot, and wait until it found no more jobs; when none is free, until one is. False: it stops."""
        slot = self._wake()
        if (slots := {slot} if slot is not None else set(self._slots)) and not self._stopping:
            await asyncio.wait(slots, return_when=asyncio.FIRST_COMPLETED)
        return not self._stopping

    async def close(self, grace_seconds: float) -> None:
        """Take no more jobs; wait for those that run, then cancel them: they go back into the queue."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        slots = list(self._slots)
        if slots:
            await asyncio.wait(slots, timeout=grace_seconds)
        for slot in slots:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)

    def _wake(self) -> asyncio.Task[None] | None:
        """The slot that looks for jobs now. None: all are busy, and look again before they rest."""
        self._woken += 1
        if self._stopping or len(self._slots) >= self.concurrency:
            return None
        slot = asyncio.create_task(self._serve(), context=Context())  # whoever woke it: it does the jobs of others, too
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)
        return slot

    async def _look_for_ever(self) -> None:
        while True:
            self._wake()
            await asyncio.sleep(self.patience())

    async def _serve(self) -> None:
        while not self._stopping:
            woken = self._woken
            try:
                job = await self.claim()
            except VoiceServiceError as error:
                logger.warning("no job could be claimed: %s", error.code)
                return
            if job is None:
                if woken == self._woken:
                    return
                continue
            self._wake()  # where one waits there may be more
            await self._do(job)

    async def _do(self, job: T) -> None:
        self._running += 1
        try:
            await self.run(job)
        except Exception as error:  # noqa: BLE001 - one job must not end the worker
            logger.error("a job escaped its handler\n%s", where(error))
        finally:
            self._running -= 1
