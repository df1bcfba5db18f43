"""Takes job ids from the queue and runs them, a fixed number at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from src.domain.ports import JobQueue
from src.utils.tracing import where

logger = logging.getLogger(__name__)


class JobWorker:
    """`execute` does one job and keeps its errors to itself; whatever escapes is logged, and the loop goes on."""

    def __init__(self, queue: JobQueue, execute: Callable[[str], Awaitable[None]], concurrency: int) -> None:
        self._queue = queue
        self._execute = execute
        self._concurrency = concurrency
        self._loops: list[asyncio.Task[None]] = []
        self._busy = 0
        self._stopping = False

    @property
    def running(self) -> int:
        """Jobs that are being done now."""
        return self._busy

    @property
    def alive(self) -> bool:
        return bool(self._loops) and not any(loop.done() for loop in self._loops)

    def start(self) -> None:
        self._loops = [asyncio.create_task(self._loop()) for _ in range(self._concurrency)]

    async def close(self, grace_seconds: float) -> None:
        """Take no more jobs; wait for those that run, then cancel them (they are run again at the next start)."""
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + grace_seconds
        while self._busy and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - once, at the very end
            await asyncio.sleep(0.05)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _loop(self) -> None:
        while not self._stopping:
            job_id = await self._queue.take()
            self._busy += 1
            try:
                await self._execute(job_id)
            except Exception as error:  # noqa: BLE001 - one job must not end the worker
                logger.error("job %s escaped its handler\n%s", job_id, where(error))
            finally:
                self._busy -= 1
