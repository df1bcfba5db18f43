"""Settings to a running service: the only file that names concrete stores; `bootstrap_engines` names the engines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from src.adapters.database.engine import Database
from src.adapters.database.repositories import (
    SqlIdempotencyStore,
    SqlJobRepository,
    SqlProfileRepository,
    SqlUsageRepository,
)
from src.adapters.queue.in_process import InProcessQueue
from src.api.dependencies import Services
from src.bootstrap_engines import Engines, build_engines
from src.bootstrap_shared import SharedState, build_shared_state
from src.bootstrap_storage import start_storage
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.ports import Runner, Storage
from src.services.health import Check, Health
from src.services.jobs import Jobs
from src.services.languages import LanguageCatalog
from src.services.on_demand import OnDemand
from src.services.pipeline import Pipeline
from src.services.profiles import CLONES, Profiles
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from src.workers.job_worker import JobWorker

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 600.0


@asynccontextmanager
async def running_services(
    settings: Settings, engines: Engines | None = None, shared: SharedState | None = None
) -> AsyncIterator[Services]:
    """Build everything, start it, and close it again in the reverse order, whatever happens in between."""
    shared = shared or build_shared_state(settings)
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = Database(
            settings.effective_database_url,
            pool_size=settings.database_pool_size,
            timeout_seconds=settings.database_pool_timeout_seconds,
            connect_seconds=settings.database_connect_timeout_seconds,
            statement_seconds=settings.database_statement_timeout_seconds,
        )
        stack.push_async_callback(database.close)
        await database.start()
        parts = engines if engines is not None else await asyncio.to_thread(build_engines, settings)
        if parts.close is not None:
            stack.push_async_callback(parts.close)
        runners = list(dict.fromkeys(parts.runners.values()))
        for runner in runners:
            stack.push_async_callback(runner.close)
        await asyncio.gather(*(runner.start() for runner in runners))
        await stack.enter_async_context(shared.running())
        yield await _start_services(settings, parts, database, shared, stack)


async def _start_services(
    settings: Settings, engines: Engines, database: Database, shared: SharedState, stack: AsyncExitStack
) -> Services:
    storage, storage_checks = await start_storage(settings, stack)
    usage = SqlUsageRepository(database)
    transcription = Transcription(engines.transcriber)
    voices = VoiceCloning(engines.voice, engines.analyzer, shared.cache, engines.transcriber)
    profiles = Profiles(
        SqlProfileRepository(database),
        storage,
        engines.decoder,
        voices,
        min_reference_seconds=settings.min_reference_seconds,
        max_reference_seconds=settings.max_audio_seconds,
    )
    translation = TextTranslation(engines.translators, shared.cache)
    queue = InProcessQueue(settings.job_queue_size)
    jobs = Jobs(
        SqlJobRepository(database),
        queue,
        storage,
        Pipeline(engines.decoder, transcription, translation, voices, profiles, storage),
        usage,
        SqlIdempotencyStore(database, settings.idempotency_ttl_seconds),
        timeout_seconds=settings.job_timeout_seconds,
        max_attempts=settings.job_max_attempts,
    )
    worker = JobWorker(queue, jobs.execute, settings.job_concurrency or engines.job_concurrency)
    left_over = await jobs.left_over()
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    _start_background((jobs.recover(left_over), _sweep_for_ever(jobs, storage, settings)), stack)
    return Services(
        jobs=jobs,
        on_demand=OnDemand(
            engines.decoder,
            transcription,
            voices,
            profiles,
            storage,
            usage,
            timeout_seconds=settings.sync_timeout_seconds,
        ),
        profiles=profiles,
        languages=LanguageCatalog(engines.transcriber, engines.translators, engines.voice),
        usage=usage,
        storage=storage,
        health=_health(engines, database, shared, queue, worker, storage_checks),
        max_audio_bytes=settings.max_audio_bytes,
        sync_timeout_seconds=settings.sync_timeout_seconds,
        public_base_url=settings.public_base_url,
    )


def _start_background(works: Iterable[Coroutine[Any, Any, None]], stack: AsyncExitStack) -> None:
    """Run these beside the service, until it closes."""
    for work in works:
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        stack.push_async_callback(_stop, task)


async def _sweep_for_ever(jobs: Jobs, storage: Storage, settings: Settings) -> None:
    kept = settings.result_ttl_seconds
    while True:
        try:
            erased = await jobs.sweep(kept, settings.input_ttl_seconds), await storage.delete_under(CLONES, kept)
            if any(erased):
                logger.info("%d old jobs and %d old clones erased", *erased)
        except Exception:
            logger.exception("the sweep of old jobs failed; the next one tries again")
        await asyncio.sleep(_SWEEP_SECONDS)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a background task ended", exc_info=error)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _health(
    engines: Engines,
    database: Database,
    shared: SharedState,
    queue: InProcessQueue,
    worker: JobWorker,
    others: Mapping[str, Check],
) -> Health:
    async def job_worker() -> None:
        _require(worker.alive, "the job worker has stopped")

    def runner_check(runner: Runner) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            _require(runner.alive, "no process of this engine is up")

        return check

    checks = {name: runner_check(runner) for name, runner in engines.runners.items()}
    return Health(
        {"database": database.ping, "job_worker": job_worker, **others, **checks},
        {
            "transcription": engines.transcriber.name,
            "translation": ", ".join(translator.name for translator in engines.translators) or "none",
            "voice": engines.voice.name,
        },
        lambda: (*engines.notices, *engines.passing_notices(), *shared.notices()),
        lambda: (len(queue), worker.running),
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise EngineUnavailable(otherwise)
