"""The last line of a job's life, whoever writes it: its worker, a caller who cancels, or the upkeep, which every
process that does jobs runs now and then.
"""

import logging
from dataclasses import KW_ONLY, dataclass, replace

from src.domain.errors import JobDead, Unavailable, VoiceServiceError
from src.domain.jobs import Job, JobError, JobStatus, TranslationResult, UsageEvent, now
from src.domain.ports import JobEvents, Storage
from src.domain.repositories import JobRepository
from src.utils import metrics

logger = logging.getLogger(__name__)


class JobEnding:
    """Writes the final state, counts the use, wakes those who wait, and drops what is no longer needed."""

    def __init__(self, jobs: JobRepository, events: JobEvents, storage: Storage) -> None:
        self._jobs = jobs
        self._events = events
        self._storage = storage

    async def complete(self, job: Job, result: TranslationResult) -> bool:
        """As `fail`; refused, the spoken answer is erased."""
        written = await self._end(replace(job, status=JobStatus.COMPLETED, result=result))
        if not written:
            await self.drop(result.audio_key)
        return written

    async def fail(self, job: Job, error: VoiceServiceError) -> bool:
        """False when the job was not this caller's to end any more: then nothing was written.

        Raises Overloaded, EngineUnavailable.
        """
        return await self._end(replace(job, status=JobStatus.FAILED, error=job_error(error)))

    async def drop(self, *keys: str) -> None:
        """Erase files now; those that the storage keeps for itself now are left to the sweep."""
        for key in keys:
            try:
                await self._storage.delete(key)
            except Unavailable as error:
                logger.warning("%s is not erased yet: %s", key, error.code)

    async def _end(self, job: Job) -> bool:
        job = replace(job, stage=None, updated_at=now())
        written = await self._jobs.finish(job, _usage_event(job))
        if written:
            metrics.JOBS.labels(job.request.operation, job.error.code if job.error else "completed").inc()
            await self._events.publish(job.id)
            await self.drop(job.input_key, *(job.result_key(fence) for fence in range(1, job.fence)))
        return written


def job_error(error: VoiceServiceError) -> JobError:
    """As rows have it."""
    return JobError(error.code, error.detail, error.retryable, error.retry_after_seconds)


def _usage_event(job: Job) -> UsageEvent:
    result, error = job.result, job.error
    return UsageEvent(
        user_id=job.user_id,
        operation=job.request.operation,
        outcome=error.code if error else "completed",
        source_language=result.source_language if result else job.request.source_language,
        target_language=job.request.target_language,
        seconds_in=result.source_seconds if result else 0.0,
        seconds_out=result.duration_seconds if result else 0.0,
        characters=len(result.translated_text) if result else 0,
        transcription_engine=result.engines.transcription if result else None,
        translation_engine=result.engines.translation if result else None,
        voice_engine=result.engines.voice if result else None,
    )


INPUT_SECONDS = 24 * 3600.0
"""Recordings that no job took up are deleted after this, also when the job still waits."""


@dataclass(eq=False)
class JobUpkeep:
    """`max_attempts`: how often a job may be begun, its worker dying each time, before it is dead."""

    jobs: JobRepository
    storage: Storage
    ending: JobEnding
    _: KW_ONLY
    max_attempts: int
    lease_seconds: float

    async def recover(self) -> int:
        """Put the jobs of workers that are gone back in line, and end those that are dead. Returns how many of both.

        Several processes may do it at the same time. Raises Overloaded, EngineUnavailable.
        """
        requeued = await self.jobs.requeue_expired(self.max_attempts)
        for job_id in requeued:
            logger.warning("the worker of job %s is gone: the job goes back in line", job_id)
        spent = await self.jobs.claim_spent(self.max_attempts, self.lease_seconds)
        for job in spent:
            logger.error("job %s is dead: its worker ended %d times while it ran", job.id, job.attempts)
            await self.ending.fail(
                job,
                JobDead(
                    f"The service stopped {job.attempts} times while it did this job, and does not begin it again. "
                    "Send another recording, or cut this one."
                ),
            )
        return len(requeued) + len(spent)

    async def sweep(self, older_than_seconds: float, inputs_older_than_seconds: float) -> int:
        """Erase jobs that ended that long ago, and inputs that are that old. Returns how many jobs."""
        erased = 0
        while old := await self.jobs.ended_before(older_than_seconds):
            for job in old:
                await erase(job.id, job.input_key, self.jobs, self.storage)
            erased += len(old)
        await self.storage.delete_under("inputs", inputs_older_than_seconds)
        return erased


async def erase(job_id: str, input_key: str, jobs: JobRepository, storage: Storage) -> None:
    """Everything of a job, the row last: while it is there, erasing can be asked for again."""
    await storage.delete(input_key)
    await storage.delete_under(f"results/{job_id}")
    await jobs.delete(job_id)
