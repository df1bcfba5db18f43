"""What a process of the service consists of, top to bottom: each part is started when those above it are there, and
closed before them.

One file for each part: `process` (settings, log, server), `access`, `stores` (and `storage`), `engines` (and
`translators`), `use_cases` (and `safeguards`), `jobs`, `fleet` (WORKERS=remote), `health`,
`observing` (metrics, traces).
Only these files read settings and name concrete stores and engines.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.accounts.user_rows import SqlHoldings
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobViews
from src.api.dependencies import Services
from src.bootstrap.access import Access, build_sessions
from src.bootstrap.engines import Engines, start_engines
from src.bootstrap.fleet import Membership, start_call_worker, start_remote_workers
from src.bootstrap.health import build_health
from src.bootstrap.jobs import (
    callback_addresses,
    remote_consumer,
    remote_queue,
    start_callback_delivery,
    start_job_worker,
)
from src.bootstrap.observing import start_observing
from src.bootstrap.stores import SharedState, Stores, build_shared_state, start_stores
from src.bootstrap.use_cases import UseCases, build_live, start_use_cases
from src.config.settings import Settings
from src.domain.jobs import Job
from src.domain.ports import JobQueue
from src.services.accounts.export import Export
from src.services.deployment.health import Health
from src.services.deployment.languages import LanguageCatalog
from src.services.jobs.board import JobBoard
from src.services.jobs.jobs import Jobs
from src.services.jobs.trail import Trails
from src.services.live.secrets import ClientSecrets
from src.services.live.sessions import LiveSessions
from src.services.on_demand import CloneStore, Hearing, OnDemand, Safeguards
from src.workers.job_worker import JobWorker


@asynccontextmanager
async def running_services(
    settings: Settings, given: Engines | None, shared: SharedState, access: Access
) -> AsyncIterator[Services]:
    """The process that takes requests, and with WORKERS=local does the jobs, too. `given`: engines to use instead of
    those that the settings name.
    """
    async with AsyncExitStack() as stack:
        stores = await start_stores(settings, shared, stack)
        start_observing(stores, stack)
        remote = await start_remote_workers(settings, stores, stack) if settings.workers == "remote" else None
        engines = await start_engines(settings, given, remote.engines if remote else None, stack)
        use_cases = await start_use_cases(settings, stores, engines, stack)
        worker, queue = await _start_jobs(settings, stores, engines, use_cases, stack)
        delivery = start_callback_delivery(settings, stores.database, stack)
        live = build_live(settings, stores, engines, use_cases, _concurrency(settings, engines))
        health = build_health(access, stores, engines, use_cases, live, worker=worker, remote=remote, delivery=delivery)
        yield _services(settings, stores, engines, use_cases, queue, live, health)


@asynccontextmanager
async def running_worker(settings: Settings, given: Engines | None = None) -> AsyncIterator[JobWorker[Job]]:
    """The process that does what others take (WORKERS=remote), until it is left: then it drains."""
    async with AsyncExitStack() as stack:
        stores = await start_stores(settings, build_shared_state(settings), stack)
        start_observing(stores, stack)
        engines = await start_engines(settings, given, None, stack)
        use_cases = await start_use_cases(settings, stores, engines, stack)
        member = Membership(settings, engines)
        keeper = await member.start_heartbeat(stack)
        concurrency = _concurrency(settings, engines)
        worker = await start_job_worker(settings, stores, use_cases.pipeline, concurrency, stack, keeper)
        calls = start_call_worker(settings, stores, engines, concurrency, keeper, stack)
        consumer = remote_consumer(settings, worker, stack)
        stack.push_async_callback(_drain, settings.shutdown_grace_seconds, worker, calls)
        await member.join(stores, worker, calls)
        stack.push_async_callback(member.leave, stores)
        stack.callback(consumer.pause)
        await consumer.start()
        yield worker


async def _start_jobs(
    settings: Settings, stores: Stores, engines: Engines, use_cases: UseCases, stack: AsyncExitStack
) -> tuple[JobWorker[Job] | None, JobQueue]:
    """The worker of this process, if it has one, and what jobs are put into."""
    if settings.workers == "remote":
        return None, remote_queue(settings, stores.shared, stack)
    worker = await start_job_worker(settings, stores, use_cases.pipeline, _concurrency(settings, engines), stack)
    return worker, worker


def _concurrency(settings: Settings, engines: Engines) -> int:
    return settings.job_concurrency or engines.job_concurrency


async def _drain(grace_seconds: float, *workers: JobWorker[Any]) -> None:
    await asyncio.gather(*(worker.close(grace_seconds) for worker in workers))


def _services(
    settings: Settings,
    stores: Stores,
    engines: Engines,
    use_cases: UseCases,
    queue: JobQueue,
    live: LiveSessions,
    health: Health,
) -> Services:
    """What the routes call."""
    database = stores.database
    usage, idempotency = SqlUsageRepository(database), SqlIdempotencyStore(database)
    sessions, audit, audit_trail = build_sessions(database, stores.shared)
    return Services(
        jobs=_jobs(settings, stores, queue, idempotency),
        board=JobBoard(SqlJobViews(database)),
        on_demand=_on_demand(settings, stores, use_cases, usage),
        profiles=use_cases.profiles,
        challenges=use_cases.challenges,
        idempotency=idempotency,
        languages=LanguageCatalog(engines.transcriber, engines.translators, engines.voice),
        usage=usage,
        storage=stores.storage,
        health=health,
        callbacks=callback_addresses(settings),
        audio_budget=use_cases.budget,
        live=live,
        client_secrets=ClientSecrets(stores.shared.cache, stores.shared.counter),
        sessions=sessions,
        audit=audit,
        audit_trail=audit_trail,
        deletions=use_cases.deletions,
        export=Export(SqlHoldings(database), stores.storage),
        sync_timeout_seconds=settings.sync_timeout_seconds,
        public_base_url=settings.public_base_url,
    )


def _jobs(settings: Settings, stores: Stores, queue: JobQueue, idempotency: SqlIdempotencyStore) -> Jobs:
    return Jobs(
        stores.jobs,
        queue,
        stores.shared.events,
        stores.storage,
        idempotency,
        stores.ending,
        Trails(stores.shared.cache, stores.shared.events),
        most_waiting=settings.job_queue_size,
        most_waiting_of_user=settings.max_waiting_jobs_per_user or None,
    )


def _on_demand(settings: Settings, stores: Stores, use_cases: UseCases, usage: SqlUsageRepository) -> OnDemand:
    return OnDemand(
        use_cases.decoder,
        Hearing(use_cases.transcription, use_cases.pipeline.translation),
        use_cases.voices,
        use_cases.profiles,
        CloneStore(stores.storage, use_cases.deletions.rows, settings.result_ttl_seconds),
        usage,
        Safeguards(use_cases.moderation, use_cases.provenance.marks),
        timeout_seconds=settings.sync_timeout_seconds,
    )
