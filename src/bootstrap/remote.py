"""Settings to what stands between processes without engines and the workers that have them."""

import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlCallRepository
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.jobs.worker_registry import SqlWorkerRegistry
from src.bootstrap.database import live_seconds, open_database
from src.bootstrap.engines import MAX_WAITING_CALLS, Engines
from src.bootstrap.jobs import MAX_ATTEMPTS, JobStores, recover_for_ever, start_lease_keeper
from src.bootstrap.shared import SharedState
from src.config.settings import Settings
from src.domain.errors import Unavailable
from src.domain.fleet import CHANGED, Abilities, WorkerState
from src.domain.jobs import now
from src.domain.leases import WAITING, EngineCall
from src.domain.ports import JobEvents, Storage
from src.domain.repositories import LeaseRepository
from src.services.jobs.call_runner import CallRunner, CallUpkeep
from src.services.jobs.queued_calls import QueuedCalls
from src.utils.concurrency import start_background
from src.workers.fleet import Fleet, FleetTranscriber, FleetVoice
from src.workers.job_worker import JobWorker
from src.workers.lease_keeper import LeaseKeeper

logger = logging.getLogger(__name__)

_LOOKS_PER_LEASE = 3
_CALLS_PER_JOB = 2
"""Calls that a worker does at the same time, for each of its jobs: what comes at once takes turns in the engines."""


# --- in the process that takes requests


@dataclass(frozen=True, slots=True)
class Front:
    """The workers, and their engines as this process calls them."""

    fleet: Fleet
    transcriber: FleetTranscriber
    voice: FleetVoice


async def start_front(
    settings: Settings, database: Database, storage: Storage, shared: SharedState, stack: AsyncExitStack
) -> Front:
    """No worker need be there."""
    fleet = Fleet(SqlWorkerRegistry(database), live_seconds(settings))
    rows = SqlCallRepository(database)
    runner = QueuedCalls(
        rows,
        storage,
        shared.events,
        fleet.anyone,
        most_waiting=MAX_WAITING_CALLS,
        patience_seconds=live_seconds(settings),
        timeout_seconds=settings.job_timeout_seconds,
    )
    stack.push_async_callback(runner.close)
    await fleet.look()
    start_background(_watch(fleet, shared.events, settings.job_lease_seconds / _LOOKS_PER_LEASE), stack)
    start_background(_recovery(_upkeep(settings, rows, storage, shared.events), settings), stack)
    return Front(fleet, FleetTranscriber(runner, fleet), FleetVoice(runner, fleet))


async def _watch(fleet: Fleet, events: JobEvents, seconds: float) -> None:
    with events.listening(CHANGED) as wake:
        while True:
            await wake.wait(seconds)
            await fleet.look()


# --- in the worker


class Membership:
    """How this process tells the others that it lives, and what it can do."""

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self._settings = settings
        self._engines = engines
        self._id = uuid4().hex
        self._workers: tuple[JobWorker[Any], ...] = ()
        self._draining = False
        self._started_at = now()

    async def start_heartbeat(self, stack: AsyncExitStack) -> LeaseKeeper:
        """From a thread of its own, together with the leases. It begins to tell of this process after `join`."""
        return await start_lease_keeper(self._open_rows, self._settings.job_lease_seconds, stack)

    async def join(self, database: Database, events: JobEvents, *workers: JobWorker[Any]) -> None:
        """Raises Overloaded, EngineUnavailable."""
        self._workers = workers
        await SqlWorkerRegistry(database).seen(self._state())
        await events.publish(CHANGED)

    async def leave(self, database: Database, events: JobEvents) -> None:
        """Before what runs is waited for: nobody counts on this process any more."""
        self._draining = True
        try:
            await SqlWorkerRegistry(database).seen(self._state())
        except Unavailable as error:
            logger.warning("the others do not know yet that this worker leaves: %s", error.code)
        await events.publish(CHANGED)

    @asynccontextmanager
    async def _open_rows(self) -> AsyncIterator[LeaseRepository]:
        database = open_database(self._settings, pool_size=1)
        try:
            yield _Heartbeat(self, database)
        finally:
            await database.close()

    async def beat(self, registry: SqlWorkerRegistry) -> None:
        if self._workers:
            await registry.seen(self._state())

    def _state(self) -> WorkerState:
        engines = self._engines
        voice, transcriber = engines.voice, engines.transcriber
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return WorkerState(
            id=self._id,
            host=socket.gethostname(),
            device=self._settings.device + (f", CUDA_VISIBLE_DEVICES={chosen}"[:200] if chosen else ""),
            slots=sum(worker.concurrency for worker in self._workers),
            running=sum(worker.running for worker in self._workers),
            hears=Abilities(transcriber.name, transcriber.languages),
            speaks=Abilities(voice.name, voice.languages, voice.varies),
            draining=self._draining,
            notices=(*engines.notices, *engines.passing_notices()),
            started_at=self._started_at,
        )


class _Heartbeat:
    """Implements LeaseRepository: the leases of jobs and calls, and the sign of life of the worker that has them."""

    def __init__(self, member: Membership, database: Database) -> None:
        self._member = member
        self._registry = SqlWorkerRegistry(database)
        self._rows = (SqlJobRepository(database), SqlCallRepository(database))

    async def renew(self, held: Mapping[str, int], lease_seconds: float) -> set[str]:
        ours = {row_id for rows in self._rows for row_id in await rows.renew(held, lease_seconds)}
        await self._member.beat(self._registry)
        return ours


def start_call_worker(
    settings: Settings,
    database: Database,
    stores: JobStores,
    engines: Engines,
    keeper: LeaseKeeper,
    stack: AsyncExitStack,
) -> JobWorker[EngineCall]:
    """Calls are done from now on. They have slots of their own, so that they do not wait for jobs to end."""
    rows, events, lease = SqlCallRepository(database), stores.shared.events, settings.job_lease_seconds
    methods: dict[str, Callable[..., Awaitable[Any]]] = {
        "transcribe": engines.transcriber.transcribe,
        "condition": engines.voice.condition,
        "speak": engines.voice.speak,
    }
    attempts = MAX_ATTEMPTS
    runner = CallRunner(rows, keeper, events, stores.storage, methods, lease_seconds=lease, max_attempts=attempts)
    concurrency = _CALLS_PER_JOB * (settings.job_concurrency or engines.job_concurrency)
    worker = JobWorker(runner.claim, runner.run, concurrency, lambda: lease / _LOOKS_PER_LEASE)
    start_background(_wake_for_ever(worker, events), stack)
    start_background(_recovery(_upkeep(settings, rows, stores.storage, events), settings), stack)
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    return worker


async def _wake_for_ever(worker: JobWorker[EngineCall], events: JobEvents) -> None:
    with events.listening(WAITING) as wake:
        while True:
            await wake.wait(events.patience_seconds)
            await worker.put("")


# --- in both


def _upkeep(settings: Settings, rows: SqlCallRepository, storage: Storage, events: JobEvents) -> CallUpkeep:
    return CallUpkeep(
        rows,
        events,
        storage,
        max_attempts=MAX_ATTEMPTS,
        lease_seconds=settings.job_lease_seconds,
    )


def _recovery(upkeep: CallUpkeep, settings: Settings) -> Coroutine[Any, Any, None]:
    return recover_for_ever(upkeep.recover, settings.job_lease_seconds, "engine calls")
