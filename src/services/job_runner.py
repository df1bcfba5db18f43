"""A job in the hands of its worker: claimed, held, done once, and then ended or given back.

Whatever happens to this process, the row tells the others: its lease runs out, and another worker claims it.
"""

import asyncio
import logging

from src.domain.errors import (
    DeadlineExceeded,
    InternalError,
    JobCancelled,
    NotFound,
    Unavailable,
    VoiceServiceError,
)
from src.domain.identity import current_user
from src.domain.jobs import Job, Stage, TranslationResult
from src.domain.ports import JobEvents, JobRepository, Leases
from src.services.job_ending import JobEnding
from src.services.pipeline import Pipeline
from src.utils.concurrency import started_early
from src.utils.tracing import where

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_END_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""A finished job is worth waiting for a database that is away: the work would have to be done again."""


class JobRunner:
    """`timeout_seconds` bounds one attempt, `lease_seconds` how long a job whose worker is gone waits for the next.

    When a worker dies, any of the jobs that it did may be why. So of those that have lost a worker it does one at a
    time: else the one that kills would take the same others with it each time, until all are dead.
    """

    def __init__(
        self,
        jobs: JobRepository,
        leases: Leases,
        events: JobEvents,
        ending: JobEnding,
        pipeline: Pipeline,
        *,
        lease_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._leases = leases
        self._events = events
        self._ending = ending
        self._pipeline = pipeline
        self._lease_seconds = lease_seconds
        self._timeout_seconds = timeout_seconds
        self._claiming = asyncio.Lock()
        self._suspect: str | None = None  # the id of a running job that has lost a worker

    async def claim(self) -> Job | None:
        """The next job in line, which this process then has to `run`. Raises Overloaded, EngineUnavailable."""
        async with self._claiming:
            job = await self._jobs.claim(self._lease_seconds, only_new=self._suspect is not None)
            if job is not None and job.attempts > 1:
                self._suspect = job.id
            return job

    async def run(self, job: Job) -> None:
        """Do a claimed job. Its errors end in its row. Cancelled, as when this process stops, it gives the job back."""
        try:
            await self._run(job)
        finally:
            if self._suspect == job.id:
                self._suspect = None

    async def _run(self, job: Job) -> None:
        task = asyncio.create_task(self._attempt(job))
        try:
            # Not `await task`: a cancellation of the task is one of the job, and this call goes on to end it.
            with self._leases.held(job, task.cancel):
                async with started_early(self._heed_cancellation(job, task)):
                    await asyncio.wait({task})
        except asyncio.CancelledError:
            await _stopped(task)
            await self._jobs.give_back(job)
            logger.info("job %s goes back in line", job.id)
            raise
        await self._end(job, task)

    async def _attempt(self, job: Job) -> TranslationResult:
        async def on_stage(stage: Stage) -> None:
            try:
                await self._jobs.save_stage(job, stage)
            except Unavailable as error:
                logger.warning("the stage of job %s was not written: %s", job.id, error.code)

        if job.cancel_requested:
            raise asyncio.CancelledError
        current_user.set(job.user_id)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._pipeline.run(job, on_stage)
        except TimeoutError:
            detail = f"The job took longer than {self._timeout_seconds:g} s. Send a shorter recording, or try later."
            raise DeadlineExceeded(detail) from None

    async def _heed_cancellation(self, job: Job, task: asyncio.Task[TranslationResult]) -> None:
        with self._events.listening(job.id) as wake:
            while not await self._is_unwanted(job):
                await wake.wait(max(_LOOK_SECONDS, self._events.patience_seconds))
        task.cancel()

    async def _is_unwanted(self, job: Job) -> bool:
        try:
            row = await self._jobs.get(job.id)
        except NotFound:
            return True
        except Unavailable:
            return False
        return row.cancel_requested or row.fence != job.fence

    async def _end(self, job: Job, task: asyncio.Task[TranslationResult]) -> None:
        for pause in _END_AGAIN_SECONDS:
            try:
                written = await self._write_end(job, task)
            except Unavailable as error:
                logger.warning("job %s has ended, which is not written yet: %s", job.id, error.code)
                await asyncio.sleep(pause)
                continue
            if not written:
                logger.info("job %s was deleted, or is another worker's: what was done here is dropped", job.id)
            return
        logger.error("job %s has ended, which could not be written: it is done again", job.id)

    async def _write_end(self, job: Job, task: asyncio.Task[TranslationResult]) -> bool:
        if task.cancelled():
            logger.info("job %s was cancelled", job.id)
            return await self._ending.fail(job, JobCancelled("The caller cancelled the job, or went away."))
        error = task.exception()
        if error is None:
            return await self._ending.complete(job, task.result())
        if isinstance(error, VoiceServiceError):
            return await self._ending.fail(job, error)
        logger.error("job %s failed by a defect\n%s", job.id, where(error))
        detail = "The job failed by a defect of the service. The log has it under the job's id."
        return await self._ending.fail(job, InternalError(detail))


async def _stopped(task: asyncio.Task[TranslationResult]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
