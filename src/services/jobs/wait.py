"""Waiting for a job that may run in another process."""

import asyncio

from src.domain.errors import Unavailable
from src.domain.jobs import Job
from src.domain.ports import JobEvents
from src.domain.repositories import JobRepository


class JobWait:
    """The row is the truth; an event only says when to look at it."""

    def __init__(self, jobs: JobRepository, events: JobEvents) -> None:
        self._jobs = jobs
        self._events = events

    async def until_ended(self, job_id: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after `seconds`. Raises NotFound, also for one deleted meanwhile.

        Raises Overloaded, EngineUnavailable when the database is away at the end of that time; until then it may be.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        with self._events.listening(job_id) as wake:
            while True:
                left = deadline - clock()
                try:
                    job = await self._jobs.get(job_id)
                except Unavailable:
                    if left <= 0:
                        raise
                else:
                    if job.ended or left <= 0:
                        return job
                await wake.wait(min(left, self._events.patience_seconds))
