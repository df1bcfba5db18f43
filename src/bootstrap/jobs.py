"""Settings to the part that does jobs: in the process that takes them, or in a worker's."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.database import open_database
from src.bootstrap.shared import SharedState
from src.config.settings import Settings
from src.domain.jobs import Job
from src.domain.ports import Storage
from src.domain.repositories import LeaseRepository
from src.services.jobs.ending import JobEnding
from src.services.jobs.runner import JobRunner
from src.services.jobs.upkeep import INPUT_SECONDS, JobUpkeep
from src.services.pipeline import Pipeline
from src.services.profiles.profiles import CLONES
from src.utils.concurrency import start_background
from src.workers.job_worker import JobWorker
from src.workers.lease_keeper import LeaseKeeper

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Starts of one job, when the process ends under it each time; then it fails with `job_dead`."""
_SWEEP_SECONDS = 600.0
_LOOKS_PER_LEASE = 3
_LOOK_SECONDS = 0.5
"""Between two looks while Redis, by which others tell of new jobs, is away."""


@dataclass(frozen=True, slots=True)
class JobStores:
    """What everything about jobs is kept in."""

    rows: SqlJobRepository
    storage: Storage
    shared: SharedState

    @property
    def ending(self) -> JobEnding:
        return JobEnding(self.rows, self.shared.events, self.storage)


async def start_lease_keeper(
    open_rows: Callable[[], AbstractAsyncContextManager[LeaseRepository]], lease_seconds: float, stack: AsyncExitStack
) -> LeaseKeeper:
    keeper = LeaseKeeper(open_rows, lease_seconds)
    stack.push_async_callback(keeper.close)
    await keeper.start()
    return keeper


async def start_job_worker(
    settings: Settings,
    stores: JobStores,
    pipeline: Pipeline,
    concurrency: int,
    stack: AsyncExitStack,
    keeper: LeaseKeeper | None = None,
) -> JobWorker[Job]:
    """Jobs are done from now on, until `stack` closes: then those that run may end within the grace time."""
    lease = settings.job_lease_seconds
    keeper = keeper or await start_lease_keeper(partial(_lease_rows, settings), lease, stack)
    runner = JobRunner(
        stores.rows,
        keeper,
        stores.shared.events,
        stores.ending,
        pipeline,
        lease_seconds=lease,
        max_attempts=MAX_ATTEMPTS,
        timeout_seconds=settings.job_timeout_seconds,
    )

    def patience() -> float:
        link = stores.shared.link
        return _LOOK_SECONDS if link is not None and not link.up else lease / _LOOKS_PER_LEASE

    worker = JobWorker(runner.claim, runner.run, concurrency, patience)
    upkeep = JobUpkeep(stores.rows, stores.storage, stores.ending, max_attempts=MAX_ATTEMPTS, lease_seconds=lease)

    async def recover() -> None:
        if await upkeep.recover():
            await worker.put("")

    start_background(recover_for_ever(recover, lease, "jobs"), stack)
    start_background(_sweep_for_ever(upkeep, stores.storage, settings), stack)
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    return worker


@asynccontextmanager
async def _lease_rows(settings: Settings) -> AsyncIterator[SqlJobRepository]:
    """The jobs over a connection of their own."""
    database = open_database(settings, pool_size=1)
    try:
        yield SqlJobRepository(database)
    finally:
        await database.close()


async def recover_for_ever(recover: Callable[[], Awaitable[None]], lease_seconds: float, noun: str) -> None:
    """`noun`, in the plural, for the log."""
    while True:
        try:
            await recover()
        except Exception as error:  # noqa: BLE001 - the database may be away; the next round tries again
            logger.warning("%s of lost workers were not looked for: %s", noun, type(error).__name__)
        await asyncio.sleep(lease_seconds / _LOOKS_PER_LEASE)


async def _sweep_for_ever(upkeep: JobUpkeep, storage: Storage, settings: Settings) -> None:
    kept = settings.result_ttl_seconds
    while True:
        try:
            erased = await upkeep.sweep(kept, INPUT_SECONDS), await storage.delete_under(CLONES, kept)
            if any(erased):
                logger.info("%d old jobs and %d old clones erased", *erased)
        except Exception:
            logger.exception("the sweep of old jobs failed; the next one tries again")
        await asyncio.sleep(_SWEEP_SECONDS)
