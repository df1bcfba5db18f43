"""The last line of a job's life, whoever writes it: its worker, a caller who cancels, or the upkeep."""

import logging
from dataclasses import replace

from src.domain.errors import Unavailable, VoiceServiceError
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
