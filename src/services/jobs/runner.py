"""Jobs on the side of the worker: claimed under a lease, done, and then ended or given back. Engine calls alike.

Whatever happens to this process, the row tells the others: its lease runs out, and another worker claims it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Generic, TypeVar

from src.domain.accounts import audio_counted
from src.domain.errors import DeadlineExceeded, InternalError, JobCancelled, NotFound, Unavailable, VoiceServiceError
from src.domain.identity import current_user, working_for
from src.domain.jobs import Job, Stage, TranslationResult, now
from src.domain.leases import Leased, LeasedRepository
from src.domain.ports import JobEvents, Leases
from src.domain.repositories import JobRepository
from src.services.interpreting import Piece, Spoken
from src.services.jobs.ending import JobEnding
from src.services.jobs.trail import Trails
from src.services.pipeline import Pipeline
from src.utils import metrics
from src.utils.concurrency import background_task
from src.utils.tracing import span_of, where

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Leased)
R = TypeVar("R")

_LOOK_SECONDS = 1.0
_END_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""What is finished is worth waiting for a database that is away: the work would have to be done again."""


@dataclass(eq=False)
class LeasedRunner(ABC, Generic[T, R]):
    """`lease_seconds`: how long a row whose worker is gone waits for the next. `noun`, for the log.

    When a worker dies, any of the rows that it did may be why. So of those that are at the last of `max_attempts` it
    does one at a time: else the one that kills would take the same others with it each time, until all are dead.
    """

    noun: ClassVar[str]
    rows: LeasedRepository[T]
    leases: Leases
    events: JobEvents
    _: KW_ONLY
    lease_seconds: float
    max_attempts: int
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _suspect: str | None = field(default=None, init=False)  # the id of a running row that is at its last attempt

    @abstractmethod
    async def _attempt(self, row: T) -> R:
        """Do it. Cancelled when nobody wants it any more."""

    @abstractmethod
    async def _complete(self, row: T, result: R) -> bool:
        """Write the end. False when the row was not ours to end any more. Raises Overloaded, EngineUnavailable."""

    @abstractmethod
    async def _fail(self, row: T, error: VoiceServiceError) -> bool:
        """As `_complete`."""

    async def claim(self) -> T | None:
        """The next row in line, which this process then has to `run`. Raises Overloaded, EngineUnavailable."""
        async with self._claiming:
            below = None if self._suspect is None else self.max_attempts - 1
            row = await self.rows.claim(self.lease_seconds, begun_below=below)
            if row is not None and row.attempts >= self.max_attempts > 1:
                self._suspect = row.id
            if row is not None and row.attempts > 1:
                metrics.REDELIVERIES.labels(self.noun).inc()
            return row

    async def run(self, row: T) -> None:
        """Do a claimed row. Its errors end in it. Cancelled, as when this process stops, it gives the row back."""
        try:
            await self._run(row)
        finally:
            if self._suspect == row.id:
                self._suspect = None

    async def _run(self, row: T) -> None:
        task = asyncio.create_task(self._begin(row))
        try:
            # Not `await task`: a cancellation of the task is one of the row, and this call goes on to end it.
            with self.leases.held(row, task.cancel):
                async with background_task(self._heed_cancellation(row, task)):
                    await asyncio.wait({task})
        except asyncio.CancelledError:
            await _stopped(task)
            await self.rows.give_back(row)
            logger.info("%s %s goes back in line", self.noun, row.id)
            raise
        await self._end(row, task)

    async def _begin(self, row: T) -> R:
        if row.cancel_requested:
            raise asyncio.CancelledError
        return await self._attempt(row)

    async def _heed_cancellation(self, row: T, task: asyncio.Task[R]) -> None:
        with self.events.listening(row.id) as wake:
            while not await self._is_unwanted(row):
                await wake.wait(max(_LOOK_SECONDS, self.events.patience_seconds))
        task.cancel()

    async def _is_unwanted(self, row: T) -> bool:
        try:
            found = await self.rows.get(row.id)
        except NotFound:
            return True
        except Unavailable:
            return False
        return found.cancel_requested or found.fence != row.fence

    async def _end(self, row: T, task: asyncio.Task[R]) -> None:
        for pause in _END_AGAIN_SECONDS:
            try:
                written = await self._write_end(row, task)
            except Unavailable as error:
                logger.warning("%s %s has ended, which is not written yet: %s", self.noun, row.id, error.code)
                await asyncio.sleep(pause)
                continue
            if not written:
                message = "%s %s was deleted, or is another worker's: what was done here is dropped"
                logger.info(message, self.noun, row.id)
            return
        logger.error("%s %s has ended, which could not be written: it is done again", self.noun, row.id)

    async def _write_end(self, row: T, task: asyncio.Task[R]) -> bool:
        if task.cancelled():
            logger.info("%s %s was cancelled", self.noun, row.id)
            return await self._fail(row, JobCancelled(f"The caller cancelled the {self.noun}, or went away."))
        error = task.exception()
        if error is None:
            return await self._complete(row, task.result())
        if isinstance(error, VoiceServiceError):
            return await self._fail(row, error)
        logger.error("%s %s failed by a defect\n%s", self.noun, row.id, where(error))
        detail = f"The {self.noun} failed by a defect of the service. The log has it under its id."
        return await self._fail(row, InternalError(detail))


async def _stopped(task: asyncio.Task[R]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(eq=False)
class JobRunner(LeasedRunner[Job, TranslationResult]):
    """`timeout_seconds` bounds one attempt, `lease_seconds` how long a job whose worker is gone waits for the next."""

    noun = "job"
    rows: JobRepository
    ending: JobEnding
    pipeline: Pipeline
    trails: Trails
    _: KW_ONLY
    timeout_seconds: float

    async def run(self, row: Job) -> None:
        """As for any row; the log tells of whose request it is."""
        with working_for(row.trace, row.id), span_of(self.noun, row.trace):
            logger.info("job %s begins, attempt %d", row.id, row.attempts)
            await super().run(row)

    async def _attempt(self, row: Job) -> TranslationResult:
        async def on_stage(stage: Stage) -> None:
            try:
                await self.rows.save_stage(row, stage)
            except Unavailable as error:
                logger.warning("the stage of job %s was not written: %s", row.id, error.code)

        trail, silent = self.trails.of(row), True

        async def tell(piece: Piece) -> None:
            nonlocal silent
            if silent and isinstance(piece, Spoken):
                silent = False
                metrics.FIRST_AUDIO_SECONDS.observe((now() - row.created_at).total_seconds())
            await trail.tell(piece)

        current_user.set(row.user_id)
        audio_counted.set(row.request.audio_counted or row.fence > 1)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self.pipeline.run(row, on_stage, tell)
        except TimeoutError:
            detail = f"The job took longer than {self.timeout_seconds:g} s. Send less, or try later."
            raise DeadlineExceeded(detail) from None

    async def _complete(self, row: Job, result: TranslationResult) -> bool:
        logger.info("job %s is done in %.0f ms", row.id, result.processing_time_ms)
        metrics.job_done(result)
        return await self.ending.complete(row, result)

    async def _fail(self, row: Job, error: VoiceServiceError) -> bool:
        logger.info("job %s fails: %s", row.id, error.code)
        return await self.ending.fail(row, error)
