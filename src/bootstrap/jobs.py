"""Jobs: the worker that does them, in either process, the queue between two processes, and the callbacks when they end.

Without WEBHOOK_SECRET there are no callbacks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx

from src import __version__
from src.adapters.callbacks.http_sender import HttpCallbackSender, SystemResolver
from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import SqlCallbackOutbox
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.stores import SharedState, Stores, opened_database
from src.config.settings import Settings
from src.config.values import signing_keys
from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job
from src.domain.ports import JobQueue, Storage
from src.domain.repositories import LeaseRepository
from src.services.jobs.callbacks import CallbackAddresses, CallbackDelivery
from src.services.jobs.ending import INPUT_SECONDS, JobUpkeep
from src.services.jobs.runner import JobRunner
from src.services.jobs.trail import Trails
from src.services.pipeline import Pipeline
from src.services.profiles.profiles import CLONES
from src.utils.concurrency import start_background
from src.utils.public_addresses import AddressRules
from src.workers.job_worker import JobWorker
from src.workers.lease_keeper import LeaseKeeper

if TYPE_CHECKING:
    from src.adapters.redis.queue import DramatiqConsumer

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Starts of one job, when the process ends under it each time; then it fails with `job_dead`."""
_CONSUMER_STOP_SECONDS = 5.0
_SWEEP_SECONDS = 600.0
LOOKS_PER_LEASE = 3
_LOOK_SECONDS = 0.5
"""Between two looks while Redis, by which others tell of new jobs, is away."""


async def start_lease_keeper(
    open_rows: Callable[[], AbstractAsyncContextManager[LeaseRepository]], lease_seconds: float, stack: AsyncExitStack
) -> LeaseKeeper:
    keeper = LeaseKeeper(open_rows, lease_seconds)
    stack.push_async_callback(keeper.close)
    await keeper.start()
    return keeper


async def start_job_worker(
    settings: Settings,
    stores: Stores,
    pipeline: Pipeline,
    concurrency: int,
    stack: AsyncExitStack,
    keeper: LeaseKeeper | None = None,
) -> JobWorker[Job]:
    """Jobs are done from now on, until `stack` closes: then those that run may end within the grace time."""
    lease = settings.job_lease_seconds
    keeper = keeper or await start_lease_keeper(partial(_lease_rows, settings), lease, stack)
    runner = JobRunner(
        stores.jobs,
        keeper,
        stores.shared.events,
        stores.ending,
        pipeline,
        Trails(stores.shared.cache, stores.shared.events),
        lease_seconds=lease,
        max_attempts=MAX_ATTEMPTS,
        timeout_seconds=settings.job_timeout_seconds,
    )
    worker = JobWorker(runner.claim, runner.run, concurrency, partial(_patience, stores.shared, lease))
    _start_upkeep(settings, stores, worker, stack)
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    return worker


def remote_queue(settings: Settings, shared: SharedState, stack: AsyncExitStack) -> JobQueue:
    """Wakes the workers of other processes. Raises EngineUnavailable."""
    # here, as a service that does its own jobs does without Dramatiq
    from src.adapters.redis.queue import DramatiqQueue  # noqa: PLC0415

    assert shared.link is not None  # noqa: S101 - the settings want REDIS_URL for it
    queue = DramatiqQueue(_redis_url(settings), shared.link)
    stack.push_async_callback(queue.close)
    return queue


def remote_consumer(settings: Settings, worker: JobWorker[Job], stack: AsyncExitStack) -> "DramatiqConsumer":
    """What such a queue wakes `worker` with, not yet started. Raises EngineUnavailable."""
    from src.adapters.redis.queue import DramatiqConsumer  # noqa: PLC0415 - as above

    consumer = DramatiqConsumer(_redis_url(settings), worker.serve, worker.concurrency)
    stack.push_async_callback(consumer.close, _CONSUMER_STOP_SECONDS)
    return consumer


def _redis_url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise EngineUnavailable("Workers are told of jobs over Redis: set REDIS_URL.")
    return settings.redis_url.get_secret_value()


def _patience(shared: SharedState, lease_seconds: float) -> float:
    """How long a worker waits for word of a job before it looks."""
    return _LOOK_SECONDS if shared.link is not None and not shared.link.up else lease_seconds / LOOKS_PER_LEASE


def _start_upkeep(settings: Settings, stores: Stores, worker: JobWorker[Job], stack: AsyncExitStack) -> None:
    lease = settings.job_lease_seconds
    upkeep = JobUpkeep(stores.jobs, stores.storage, stores.ending, max_attempts=MAX_ATTEMPTS, lease_seconds=lease)

    async def recover() -> None:
        if await upkeep.recover():
            await worker.put("")

    start_background(recover_for_ever(recover, lease, "jobs"), stack)
    start_background(_sweep_for_ever(upkeep, stores.storage, settings.result_ttl_seconds), stack)


@asynccontextmanager
async def _lease_rows(settings: Settings) -> AsyncIterator[SqlJobRepository]:
    """The jobs over a connection of their own."""
    async with opened_database(settings) as database:
        yield SqlJobRepository(database)


async def recover_for_ever(recover: Callable[[], Awaitable[None]], lease_seconds: float, noun: str) -> None:
    """`noun`, in the plural, for the log."""
    while True:
        try:
            await recover()
        except Exception as error:  # noqa: BLE001 - the database may be away; the next round tries again
            logger.warning("%s of lost workers were not looked for: %s", noun, type(error).__name__)
        await asyncio.sleep(lease_seconds / LOOKS_PER_LEASE)


async def _sweep_for_ever(upkeep: JobUpkeep, storage: Storage, kept_seconds: float) -> None:
    while True:
        try:
            erased = await upkeep.sweep(kept_seconds, INPUT_SECONDS), await storage.delete_under(CLONES, kept_seconds)
            if any(erased):
                logger.info("%d old jobs and %d old clones erased", *erased)
        except Exception:
            logger.exception("the sweep of old jobs failed; the next one tries again")
        await asyncio.sleep(_SWEEP_SECONDS)


_CONCURRENCY = 16


def callback_addresses(settings: Settings) -> CallbackAddresses:
    return CallbackAddresses(
        AddressRules(settings.callback_allowed_networks),
        signed=settings.webhook_secret is not None,
        allow_http=settings.callback_allow_http,
    )


def start_callback_delivery(settings: Settings, database: Database, stack: AsyncExitStack) -> CallbackDelivery | None:
    """What delivers from now on, until the stack is closed. None where callbacks are off; those that wait, wait on."""
    if settings.webhook_secret is None:
        return None
    resolver = SystemResolver(_CONCURRENCY)
    stack.callback(resolver.close)
    sender = HttpCallbackSender(
        signing_keys(settings.webhook_secret.get_secret_value()),
        AddressRules(settings.callback_allowed_networks),
        resolver,
        httpx.create_ssl_context(),  # heeds SSL_CERT_FILE, as every other client here
        user_agent=f"voice-translation/{__version__}",
        connections=_CONCURRENCY,
    )
    stack.push_async_callback(sender.close)
    outbox = SqlCallbackOutbox(database)
    delivery = CallbackDelivery(outbox, sender, concurrency=_CONCURRENCY)
    start_background(delivery.run(), stack)
    return delivery
