"""Settings to a running service: the only files that name concrete stores and engines are this and its siblings.

`bootstrap_core` is what the API and its workers have in common. `bootstrap_engines` and `bootstrap_translators` name
the engines, `bootstrap_storage` and `bootstrap_shared` what is kept outside of the database, `bootstrap_jobs` puts
together what does the jobs, `bootstrap_callbacks` what tells of them, `bootstrap_remote` what lies between a process
without engines and its workers; the others each build the part that they are named for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from src.adapters.database.accounts.holdings import SqlHoldings
from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_views import SqlJobViews
from src.api.dependencies import Services
from src.bootstrap.access import Access, build_sessions
from src.bootstrap.callbacks import callback_addresses, start_callback_delivery
from src.bootstrap.core import Core, start_core
from src.bootstrap.database import pseudonym_notices
from src.bootstrap.engines import Engines
from src.bootstrap.jobs import start_job_worker
from src.bootstrap.remote import Membership, start_call_worker
from src.bootstrap.shared import SharedState, build_shared_state
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job
from src.domain.ports import JobQueue, Runner
from src.services.accounts.export import Export
from src.services.health import Health
from src.services.jobs.board import JobBoard
from src.services.jobs.callbacks import CallbackDelivery
from src.services.jobs.jobs import Jobs
from src.services.languages import LanguageCatalog
from src.services.on_demand import KeptClones, OnDemand, Safeguards
from src.workers.job_worker import JobWorker

_CONSUMER_STOP_SECONDS = 5.0


@asynccontextmanager
async def running_services(
    settings: Settings, engines: Engines | None, shared: SharedState, access: Access
) -> AsyncIterator[Services]:
    """What the API needs, started, and closed again in the reverse order, whatever happens in between."""
    async with AsyncExitStack() as stack:
        remote = settings.workers == "remote"
        core = await start_core(settings, engines, shared, stack, remote=remote)
        yield await _start_services(core, access, stack)


@asynccontextmanager
async def running_worker(settings: Settings, engines: Engines | None = None) -> AsyncIterator[JobWorker[Job]]:
    """A worker that does the jobs which other processes take, until it is left: then it drains."""
    # here, as a service that does its own jobs needs neither
    from src.adapters.queue.dramatiq_queue import DramatiqConsumer  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        core = await start_core(settings, engines, build_shared_state(settings), stack, remote=False)
        member = Membership(settings, core.engines)
        keeper = await member.start_heartbeat(stack)
        worker = await start_job_worker(settings, core.stores, core.pipeline, core.job_concurrency, stack, keeper)
        calls = start_call_worker(settings, core.database, core.stores, core.engines, keeper, stack)
        consumer = DramatiqConsumer(_redis_url(settings), worker.serve, core.job_concurrency)
        stack.push_async_callback(consumer.close, _CONSUMER_STOP_SECONDS)
        stack.push_async_callback(_drain, settings.shutdown_grace_seconds, worker, calls)
        await member.join(core.database, core.stores.shared.events, worker, calls)
        stack.push_async_callback(member.leave, core.database, core.stores.shared.events)
        stack.callback(consumer.pause)
        await consumer.start()
        yield worker


async def _drain(grace_seconds: float, *workers: JobWorker[Any]) -> None:
    await asyncio.gather(*(worker.close(grace_seconds) for worker in workers))


async def _start_services(core: Core, access: Access, stack: AsyncExitStack) -> Services:
    settings, engines, stores = core.settings, core.engines, core.stores
    usage = SqlUsageRepository(core.database)
    idempotency = SqlIdempotencyStore(core.database)
    sessions, audit, audit_trail = build_sessions(core.database, stores.shared)
    worker: JobWorker[Job] | None = None
    if settings.workers == "local":
        worker = await start_job_worker(settings, stores, core.pipeline, core.job_concurrency, stack)
    delivery = start_callback_delivery(settings, core.database, stack)
    jobs = Jobs(
        stores.rows,
        worker or _remote_queue(core, stack),
        stores.shared.events,
        stores.storage,
        idempotency,
        stores.ending,
        most_waiting=settings.job_queue_size,
        most_waiting_of_user=settings.max_waiting_jobs_per_user or None,
    )
    return Services(
        jobs=jobs,
        board=JobBoard(SqlJobViews(core.database)),
        on_demand=OnDemand(
            core.decoder,
            core.transcription,
            core.voices,
            core.profiles,
            KeptClones(stores.storage, core.deletions.rows, settings.result_ttl_seconds),
            usage,
            Safeguards(core.moderation, core.provenance.marks),
            timeout_seconds=settings.sync_timeout_seconds,
        ),
        profiles=core.profiles,
        challenges=core.challenges,
        idempotency=idempotency,
        languages=LanguageCatalog(engines.transcriber, engines.translators, engines.voice),
        usage=usage,
        storage=stores.storage,
        health=_health(core, access, worker, delivery),
        callbacks=callback_addresses(settings),
        audio_budget=core.budget,
        sessions=sessions,
        audit=audit,
        audit_trail=audit_trail,
        deletions=core.deletions,
        export=Export(SqlHoldings(core.database), stores.storage),
        sync_timeout_seconds=settings.sync_timeout_seconds,
        public_base_url=settings.public_base_url,
    )


def _remote_queue(core: Core, stack: AsyncExitStack) -> JobQueue:
    from src.adapters.queue.dramatiq_queue import DramatiqQueue  # noqa: PLC0415 - see running_worker

    link = core.stores.shared.link
    assert link is not None  # noqa: S101 - the settings want REDIS_URL for it
    queue = DramatiqQueue(_redis_url(core.settings), link)
    stack.push_async_callback(queue.close)
    return queue


def _redis_url(settings: Settings) -> str:
    """Raises EngineUnavailable."""
    if settings.redis_url is None:
        raise EngineUnavailable("Workers are told of jobs over Redis: set REDIS_URL.")
    return settings.redis_url.get_secret_value()


def _health(core: Core, access: Access, worker: JobWorker[Job] | None, delivery: CallbackDelivery | None) -> Health:
    engines, fleet = core.engines, core.fleet

    def names() -> Mapping[str, str]:
        return {
            "transcription": engines.transcriber.name,
            "translation": ", ".join(translator.name for translator in engines.translators) or "none",
            "voice": engines.voice.name,
        }

    def notices() -> tuple[str, ...]:
        callbacks = delivery.notices() if delivery else ()
        workers = fleet.notices() if fleet else ()
        here = (*access.notices(), *engines.notices, *engines.passing_notices())
        safeguards = (*core.provenance.notices(), *core.moderation.notices())
        stored = (*core.stored.notices, *core.stores.storage.notices(), *pseudonym_notices(core.settings))
        return (*here, *safeguards, *core.stores.shared.notices(), *stored, *callbacks, *workers)

    def runner_check(runner: Runner) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            _require(runner.alive, "no process of this engine is up")

        return check

    async def job_worker() -> None:
        _require(worker is None or worker.alive, "the job worker has stopped")

    async def jobs() -> Mapping[str, int]:
        waiting, running = await core.stores.rows.counts()
        return {"waiting": waiting, "running": running}

    checks = {name: runner_check(runner) for name, runner in {**engines.runners, **core.provenance.runners}.items()}
    workers = {"workers": fleet.check} if fleet else {}
    return Health(
        {
            "database": core.database.ping,
            "job_worker": job_worker,
            **access.checks(),
            **core.stored.checks,
            **checks,
            **workers,
        },
        names,
        notices,
        jobs,
        fleet.counts if fleet else None,
        core.provenance.marks.marking.names,
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise EngineUnavailable(otherwise)
