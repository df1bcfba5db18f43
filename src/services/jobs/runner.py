"""A translation job in the hands of its worker; what it has in common with other work stands in `leased_runner.py`."""

import asyncio
import logging

from src.domain.errors import DeadlineExceeded, Unavailable, VoiceServiceError
from src.domain.identity import current_user
from src.domain.jobs import Job, Stage, TranslationResult
from src.domain.ports import JobEvents, Leases
from src.domain.rates import audio_counted
from src.domain.repositories import JobRepository
from src.domain.tracing import working_for
from src.services.jobs.ending import JobEnding
from src.services.jobs.leased_runner import LeasedRunner
from src.services.pipeline import Pipeline

logger = logging.getLogger(__name__)


class JobRunner(LeasedRunner[Job, TranslationResult]):
    """`timeout_seconds` bounds one attempt, `lease_seconds` how long a job whose worker is gone waits for the next."""

    def __init__(
        self,
        jobs: JobRepository,
        leases: Leases,
        events: JobEvents,
        ending: JobEnding,
        pipeline: Pipeline,
        *,
        lease_seconds: float,
        max_attempts: int,
        timeout_seconds: float,
    ) -> None:
        super().__init__(jobs, leases, events, lease_seconds=lease_seconds, max_attempts=max_attempts, noun="job")
        self._jobs = jobs
        self._ending = ending
        self._pipeline = pipeline
        self._timeout_seconds = timeout_seconds

    async def run(self, row: Job) -> None:
        """As for any row; the log tells of whose request it is."""
        with working_for(row.trace, row.id):
            logger.info("job %s begins, attempt %d", row.id, row.attempts)
            await super().run(row)

    async def _attempt(self, row: Job) -> TranslationResult:
        async def on_stage(stage: Stage) -> None:
            try:
                await self._jobs.save_stage(row, stage)
            except Unavailable as error:
                logger.warning("the stage of job %s was not written: %s", row.id, error.code)

        current_user.set(row.user_id)
        audio_counted.set(row.fence > 1)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._pipeline.run(row, on_stage)
        except TimeoutError:
            detail = f"The job took longer than {self._timeout_seconds:g} s. Send a shorter recording, or try later."
            raise DeadlineExceeded(detail) from None

    async def _complete(self, row: Job, result: TranslationResult) -> bool:
        logger.info("job %s is done in %.0f ms", row.id, result.processing_time_ms)
        return await self._ending.complete(row, result)

    async def _fail(self, row: Job, error: VoiceServiceError) -> bool:
        logger.info("job %s fails: %s", row.id, error.code)
        return await self._ending.fail(row, error)
