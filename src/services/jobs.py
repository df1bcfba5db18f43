"""Translation jobs from acceptance to the end: accepted once, done once, never left half-way."""

import asyncio
import logging
from dataclasses import replace
from uuid import uuid4

from src.domain.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InternalError,
    JobCancelled,
    NotFound,
    Overloaded,
    VoiceServiceError,
)
from src.domain.identity import current_user
from src.domain.jobs import Job, JobError, JobRequest, JobStatus, Stage, TranslationResult, UsageEvent, now
from src.domain.ports import IdempotencyStore, JobQueue, JobRepository, Storage, UsageRepository
from src.services.pipeline import Pipeline
from src.utils.tracing import where

logger = logging.getLogger(__name__)


class Jobs:
    """Owns the life of a job. Callers `submit` and `wait`; a worker calls `execute` with the ids that the queue gives
    it.
    """

    def __init__(
        self,
        jobs: JobRepository,
        queue: JobQueue,
        storage: Storage,
        pipeline: Pipeline,
        usage: UsageRepository,
        idempotency: IdempotencyStore,
        *,
        timeout_seconds: float,
        max_attempts: int,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._storage = storage
        self._pipeline = pipeline
        self._usage = usage
        self._idempotency = idempotency
        self._timeout_seconds = timeout_seconds
        self._max_attempts = max_attempts
        self._running: dict[str, asyncio.Task[TranslationResult]] = {}
        self._ended: dict[str, asyncio.Event] = {}

    async def submit(self, user_id: str, request: JobRequest, audio: bytes) -> Job:
        """Keep the audio and the job, and put it in line. Raises Overloaded, and then nothing is kept."""
        job_id = uuid4().hex
        job = Job(job_id, user_id, request, input_key=f"inputs/{job_id}.{request.audio_format}")
        try:
            await self._storage.put(job.input_key, audio)
            await self._jobs.add(job)
            self._ended[job.id] = asyncio.Event()
            self._queue.put(job.id, user_id)
        except BaseException:
            self._ended.pop(job.id, None)
            await self._erase(job)
            raise
        return job

    async def submit_once(self, user_id: str, key: str, fingerprint: str, request: JobRequest, audio: bytes) -> Job:
        """As `submit`, but a repeated Idempotency-Key gets the first job. Raises IdempotencyConflict,
        IdempotencyMismatch.
        """
        first = await self._idempotency.claim(user_id, key, fingerprint)
        if first is not None:
            return await self._jobs.get(first, user_id)
        try:
            job = await self.submit(user_id, request, audio)
            await self._idempotency.complete(user_id, key, job.id)
        except BaseException:
            await self._idempotency.release(user_id, key)
            raise
        return job

    async def get(self, job_id: str, user_id: str) -> Job:
        """Raises NotFound, also for another user's job."""
        return await self._jobs.get(job_id, user_id)

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after `seconds`. Raises NotFound when it is deleted meanwhile."""
        ended = self._ended.get(job_id)
        if ended is not None:
            try:
                await asyncio.wait_for(ended.wait(), seconds)
            except TimeoutError:
                logger.info("job %s goes on after its caller's wait", job_id)
        return await self._jobs.get(job_id)

    async def cancel(self, job_id: str) -> None:
        """Stop the job if it has not ended: the engine stops, and the job fails with `cancelled`."""
        if (task := self._running.get(job_id)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        job = await self._jobs.get(job_id)
        if not job.ended:
            error = JobCancelled("The caller cancelled the job, or went away.")
            await self._end(replace(job, status=JobStatus.FAILED, error=_job_error(error)))

    async def delete(self, job_id: str, user_id: str) -> None:
        """Cancel, and erase everything that the job stored. Raises NotFound."""
        job = await self._jobs.get(job_id, user_id)
        await self.cancel(job_id)
        await self._erase(job)

    async def delete_with_profile(self, profile_id: str) -> None:
        """Erase every job that spoke with this profile: its audio is derived from the voice."""
        for job in await self._jobs.with_profile(profile_id):
            await self.cancel(job.id)
            await self._erase(job)

    async def execute(self, job_id: str) -> None:
        """Do one job from the queue. Its errors end in the job's row; only a cancellation (shutdown) leaves this
        method.
        """
        try:
            job = await self._jobs.get(job_id)
        except NotFound:
            return
        if job.ended:
            return
        job = replace(job, status=JobStatus.PROCESSING, attempts=job.attempts + 1, updated_at=now())
        await self._jobs.save(job)
        task = asyncio.create_task(self._run_pipeline(job))
        self._running[job_id] = task
        try:
            result = await task
        except asyncio.CancelledError:
            await self._after_cancellation(job, task)
        except VoiceServiceError as error:
            await self._end(replace(job, status=JobStatus.FAILED, error=_job_error(error)))
        except Exception as error:  # noqa: BLE001 - a defect must not leave the job half-way
            logger.error("job %s failed by a defect\n%s", job_id, where(error))
            defect = InternalError("The job failed by a defect of the service. The log has it under the job's id.")
            await self._end(replace(job, status=JobStatus.FAILED, error=_job_error(defect)))
        else:
            await self._end(replace(job, status=JobStatus.COMPLETED, result=result))
        finally:
            self._running.pop(job_id, None)

    async def left_over(self) -> list[Job]:
        """What the last process left. Ask before callers are let in: later, new jobs would be among them."""
        return await self._jobs.with_status(JobStatus.PENDING, JobStatus.PROCESSING)

    async def recover(self, left_over: list[Job]) -> None:
        """After a start: put these back in line. A job that ended its process too often fails."""
        for job in left_over:
            if job.attempts >= self._max_attempts:
                error = EngineUnavailable(
                    f"The service stopped {job.attempts} times while this job ran. Send it again, or cut it."
                )
                await self._end(replace(job, status=JobStatus.FAILED, error=_job_error(error)))
                continue
            await self._jobs.save(replace(job, status=JobStatus.PENDING, stage=None))
            self._ended.setdefault(job.id, asyncio.Event())
            await self._put_when_there_is_room(job)
            logger.info("job %s is run again (attempt %d)", job.id, job.attempts + 1)

    async def sweep(self, older_than_seconds: float, inputs_older_than_seconds: float) -> int:
        """Erase jobs that ended that long ago, and inputs that are that old. Returns how many jobs."""
        erased = 0
        while old := await self._jobs.ended_before(older_than_seconds):
            for job in old:
                await self._erase(job)
            erased += len(old)
        await self._storage.delete_under("inputs", inputs_older_than_seconds)
        return erased

    async def _run_pipeline(self, job: Job) -> TranslationResult:
        async def on_stage(stage: Stage) -> None:
            await self._jobs.save(replace(job, stage=stage, updated_at=now()))

        current_user.set(job.user_id)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._pipeline.run(job, on_stage)
        except TimeoutError:
            detail = f"The job took longer than {self._timeout_seconds:g} s. Send a shorter recording, or try later."
            raise DeadlineExceeded(detail) from None

    async def _after_cancellation(self, job: Job, task: asyncio.Task[TranslationResult]) -> None:
        """Two causes: `cancel` was called, which writes the row, or this process stops and the job must wait for the
        next.
        """
        if (asked := asyncio.current_task()) is not None and asked.cancelling():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._jobs.save(replace(job, status=JobStatus.PENDING, stage=None, attempts=job.attempts - 1))
            raise asyncio.CancelledError
        logger.info("job %s was cancelled", job.id)

    async def _end(self, job: Job) -> None:
        """Write the final state, count the use, let the callers go on, and drop the input: it is no longer needed."""
        try:
            job = replace(job, stage=None, updated_at=now())
            if not await self._jobs.save(job):
                await self._erase(job)
            await self._usage.add(_usage_event(job))
            await self._storage.delete(job.input_key)
        finally:
            if (ended := self._ended.pop(job.id, None)) is not None:
                ended.set()

    async def _erase(self, job: Job) -> None:
        await self._storage.delete(job.input_key)
        await self._storage.delete(f"results/{job.id}.wav")
        await self._jobs.delete(job.id)

    async def _put_when_there_is_room(self, job: Job) -> None:
        while True:
            try:
                self._queue.put(job.id, job.user_id)
            except Overloaded:
                await asyncio.sleep(0.2)
            else:
                return


def _job_error(error: VoiceServiceError) -> JobError:
    return JobError(error.code, error.detail, error.retryable, error.retry_after_seconds)


def _usage_event(job: Job) -> UsageEvent:
    result, error = job.result, job.error
    return UsageEvent(
        user_id=job.user_id,
        operation="translate",
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
