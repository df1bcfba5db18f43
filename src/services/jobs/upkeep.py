"""What keeps jobs from being forgotten, and from being kept: run now and then by every process that does jobs."""

import logging
from dataclasses import KW_ONLY, dataclass

from src.domain.errors import JobDead
from src.domain.ports import Storage
from src.domain.repositories import JobRepository
from src.services.jobs.ending import JobEnding

logger = logging.getLogger(__name__)

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
