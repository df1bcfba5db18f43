"""The job queue of a service that is one process. Job rows are the truth: what waits here is lost with the process."""

import asyncio

from src.domain.errors import Overloaded

RETRY_AFTER_SECONDS = 5.0
"""About the time of one short job."""


class InProcessQueue:
    """Implements JobQueue, first in, first out: at most `max_size` ids wait. Raises ValueError for less than 1."""

    def __init__(self, max_size: int) -> None:
        if max_size < 1:
            raise ValueError("A queue needs room for one job.")
        self._ids: asyncio.Queue[str] = asyncio.Queue(max_size)

    def put(self, job_id: str) -> None:
        """Raises Overloaded when the queue is full."""
        try:
            self._ids.put_nowait(job_id)
        except asyncio.QueueFull:
            detail = f"{self._ids.maxsize} jobs are waiting already. Try again."
            raise Overloaded(detail, retry_after_seconds=RETRY_AFTER_SECONDS) from None

    async def take(self) -> str:
        """Wait for the oldest id. A cancelled call takes nothing."""
        return await self._ids.get()

    def __len__(self) -> int:
        return self._ids.qsize()
