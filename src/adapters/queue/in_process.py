"""The job queue of a service that is one process. Job rows are the truth: what waits here is lost with the process."""

import asyncio

from src.domain.errors import Overloaded
from src.utils.fair_queue import FairQueue

RETRY_AFTER_SECONDS = 5.0
"""About the time of one short job."""


class InProcessQueue:
    """Implements JobQueue: users in turn, each user's jobs in order; at most `max_size` ids wait.

    Raises ValueError for a size of less than 1.
    """

    def __init__(self, max_size: int) -> None:
        if max_size < 1:
            raise ValueError("A queue needs room for one job.")
        self._max_size = max_size
        self._ids: FairQueue[str] = FairQueue()
        self._there = asyncio.Semaphore(0)

    def put(self, job_id: str, user_id: str) -> None:
        """Raises Overloaded when the queue is full."""
        if len(self._ids) >= self._max_size:
            detail = f"{self._max_size} jobs are waiting already. Try again."
            raise Overloaded(detail, retry_after_seconds=RETRY_AFTER_SECONDS)
        self._ids.put(user_id, job_id)
        self._there.release()

    async def take(self) -> str:
        """Wait for the next id. A cancelled call takes nothing."""
        await self._there.acquire()
        return self._ids.take()

    def __len__(self) -> int:
        return len(self._ids)
