"""Renews the leases of the jobs that this process does, from a thread of its own.

The thread has its own event loop and its own connection to the database, so that nothing that keeps the service's loop
busy makes its jobs look abandoned.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass

from src.domain.errors import EngineUnavailable, VoiceServiceError
from src.domain.leases import Leased
from src.domain.repositories import LeaseRepository
from src.utils.tracing import where

logger = logging.getLogger(__name__)

_BEATS_PER_LEASE = 3
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Held:
    fence: int
    loop: asyncio.AbstractEventLoop
    lost: Callable[[], object]


class LeaseKeeper:
    """Implements Leases. `open_repository` is entered in the thread; its `renew` is called three times in a lease, also
    when none is held.
    """

    def __init__(
        self, open_repository: Callable[[], AbstractAsyncContextManager[LeaseRepository]], lease_seconds: float
    ) -> None:
        self._open_repository = open_repository
        self._lease_seconds = lease_seconds
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name="leases", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self._ready.is_set()

    async def start(self) -> None:
        """Raises EngineUnavailable."""
        self._thread.start()
        if not await asyncio.to_thread(self._ready.wait, _START_SECONDS) or not self.alive:
            raise EngineUnavailable("The thread that renews the leases of jobs did not start.")

    async def close(self) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, _STOP_SECONDS)

    @contextmanager
    def held(self, job: Leased, lost: Callable[[], object]) -> Iterator[None]:
        held = _Held(job.fence, asyncio.get_running_loop(), lost)
        with self._lock:
            self._held[job.id] = held
        try:
            yield
        finally:
            with self._lock:
                if self._held.get(job.id) is held:
                    del self._held[job.id]

    # --- below: in the thread

    def _live(self) -> None:
        try:
            asyncio.run(self._beat_for_ever())
        except Exception as error:  # noqa: BLE001 - the thread's last word; `alive` tells the others
            logger.critical("leases of jobs are not renewed any more\n%s", where(error))
        finally:
            self._ready.set()

    async def _beat_for_ever(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._open_repository() as repository:
            self._ready.set()
            while not self._stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._lease_seconds / _BEATS_PER_LEASE):
                        await self._stop.wait()
                        return
                await self._beat(repository)

    async def _beat(self, repository: LeaseRepository) -> None:
        with self._lock:
            held = dict(self._held)
        try:
            ours = await repository.renew({job_id: each.fence for job_id, each in held.items()}, self._lease_seconds)
        except VoiceServiceError as error:
            logger.warning("%d leases were not renewed: %s", len(held), error.code)
            return
        except Exception as error:  # noqa: BLE001 - a thread that ended would cost every job
            logger.error("%d leases were not renewed, by a defect\n%s", len(held), where(error))
            return
        for job_id in held.keys() - ours:
            with self._lock:
                is_held = self._held.get(job_id) is held[job_id]
            if is_held:  # else it ended meanwhile, and the row says so
                logger.warning("the lease of job %s is lost", job_id)
                held[job_id].loop.call_soon_threadsafe(held[job_id].lost)
