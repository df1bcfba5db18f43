"""What stands between the process that takes requests and the workers of other processes, with WORKERS=remote."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlCallRepository, SqlWorkerRegistry
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.engines import MAX_WAITING_CALLS, Engines, SpeechEngines
from src.bootstrap.jobs import LOOKS_PER_LEASE, MAX_ATTEMPTS, recover_for_ever, start_lease_keeper
from src.bootstrap.stores import Stores, opened_database
from src.config.settings import Settings
from src.domain.errors import Unavailable
from src.domain.jobs import now
from src.domain.leases import CHANGED, WAITING, Abilities, EngineCall, WorkerState
from src.domain.ports import JobEvents
from src.domain.repositories import LeaseRepository
from src.services.jobs.engine_calls import CallRunner, CallUpkeep, QueuedCalls
from src.utils.concurrency import start_background
from src.workers.engines import RemoteTranscriber, RemoteVoice
from src.workers.fleet import Fleet
from src.workers.job_worker import JobWorker
from src.workers.lease_keeper import LeaseKeeper

logger = logging.getLogger(__name__)

_LIVE_LEASES = 2
_CHECK_SECONDS = 5.0
_CALLS_PER_JOB = 2
"""Calls that a worker does at the same time, for each of its jobs: what comes at once takes turns in the engines."""


# --- in the process that takes requests


@dataclass(frozen=True, slots=True)
class RemoteWorkers:
    """The workers, and their engines as this process calls them."""

    fleet: Fleet
    engines: SpeechEngines


async def start_remote_workers(settings: Settings, stores: Stores, stack: AsyncExitStack) -> RemoteWorkers:
    """No worker need be there."""
    fleet = Fleet(SqlWorkerRegistry(stores.database), _live_seconds(settings))
    rows, events = SqlCallRepository(stores.database), stores.shared.events
    calls = QueuedCalls(
        rows,
        stores.storage,
        events,
        fleet.anyone,
        most_waiting=MAX_WAITING_CALLS,
        patience_seconds=_live_seconds(settings),
        timeout_seconds=settings.job_timeout_seconds,
    )
    stack.push_async_callback(calls.close)
    await fleet.look()
    start_background(_watch(fleet, events, settings.job_lease_seconds / LOOKS_PER_LEASE), stack)
    _start_recovery(settings, rows, stores, stack)
    hearing, speaking = RemoteTranscriber(calls, lambda: fleet.hears), RemoteVoice(calls, lambda: fleet.speaks)
    return RemoteWorkers(fleet, SpeechEngines(hearing, speaking))


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

    async def join(self, stores: Stores, *workers: JobWorker[Any]) -> None:
        """Raises Overloaded, EngineUnavailable."""
        self._workers = workers
        await SqlWorkerRegistry(stores.database).seen(self._state())
        await stores.shared.events.publish(CHANGED)

    async def leave(self, stores: Stores) -> None:
        """Before what runs is waited for: nobody counts on this process any more."""
        self._draining = True
        try:
            await SqlWorkerRegistry(stores.database).seen(self._state())
        except Unavailable as error:
            logger.warning("the others do not know yet that this worker leaves: %s", error.code)
        await stores.shared.events.publish(CHANGED)

    @asynccontextmanager
    async def _open_rows(self) -> AsyncIterator[LeaseRepository]:
        async with opened_database(self._settings) as database:
            yield _Heartbeat(self, database)

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
            notices=engines.notices(),
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
    settings: Settings, stores: Stores, engines: Engines, concurrency: int, keeper: LeaseKeeper, stack: AsyncExitStack
) -> JobWorker[EngineCall]:
    """Calls are done from now on. They have slots of their own, so that they do not wait for jobs to end."""
    rows, events, lease = SqlCallRepository(stores.database), stores.shared.events, settings.job_lease_seconds
    methods: dict[str, Callable[..., Awaitable[Any]]] = {
        "transcribe": engines.transcriber.transcribe,
        "condition": engines.voice.condition,
        "speak": engines.voice.speak,
    }
    runner = CallRunner(rows, keeper, events, stores.storage, methods, lease_seconds=lease, max_attempts=MAX_ATTEMPTS)
    worker = JobWorker(runner.claim, runner.run, _CALLS_PER_JOB * concurrency, lambda: lease / LOOKS_PER_LEASE)
    start_background(_wake_for_ever(worker, events), stack)
    _start_recovery(settings, rows, stores, stack)
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    return worker


async def _wake_for_ever(worker: JobWorker[EngineCall], events: JobEvents) -> None:
    with events.listening(WAITING) as wake:
        while True:
            await wake.wait(events.patience_seconds)
            await worker.put("")


def check_worker(settings: Settings) -> int:
    """Exit code 0: a worker of this host was seen within two leases; 1: none was, or the database does not answer."""
    trouble = asyncio.run(_trouble(settings, socket.gethostname()))
    if trouble is not None:
        print(trouble, file=sys.stderr)  # noqa: T201
    return 0 if trouble is None else 1


async def _trouble(settings: Settings, host: str) -> str | None:
    try:
        async with opened_database(settings) as database, asyncio.timeout(_CHECK_SECONDS):
            seen = await SqlWorkerRegistry(database).within(_live_seconds(settings))
    except (Unavailable, TimeoutError) as error:
        return getattr(error, "detail", "The database does not answer.")
    if any(worker.host == host for worker in seen):
        return None
    return f"No worker of {host} was seen for {_live_seconds(settings):g} s."


# --- in both


def _start_recovery(settings: Settings, rows: SqlCallRepository, stores: Stores, stack: AsyncExitStack) -> None:
    lease = settings.job_lease_seconds
    upkeep = CallUpkeep(rows, stores.shared.events, stores.storage, max_attempts=MAX_ATTEMPTS, lease_seconds=lease)
    start_background(recover_for_ever(upkeep.recover, lease, "engine calls"), stack)


def _live_seconds(settings: Settings) -> float:
    """For so long after its last heartbeat a worker is taken to live."""
    return _LIVE_LEASES * settings.job_lease_seconds
