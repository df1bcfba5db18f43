"""Settings to a running service: the only file that names concrete engines and stores."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from src.adapters.database.engine import Database
from src.adapters.database.repositories import (
    SqlIdempotencyStore,
    SqlJobRepository,
    SqlProfileRepository,
    SqlUsageRepository,
)
from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.adapters.decoding.sandbox import apply_limits, renew_cpu_limit
from src.adapters.queue.in_process import InProcessQueue
from src.adapters.storage.local import LocalStorage, load_or_create_key
from src.adapters.translators.apertium import ApertiumTranslator
from src.api.dependencies import Services
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.ports import AudioDecoder, Runner, SpeakerAnalyzer, Storage, Transcriber, Translator, VoiceEngine
from src.models import pocketsphinx_model, whisper_model
from src.models.espeak_voice import engine as espeak
from src.models.pocketsphinx_model import PocketsphinxModel
from src.models.silero_vad import SileroVad
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel
from src.services.audio_processing import AudioProcessing
from src.services.health import Health
from src.services.jobs import Jobs
from src.services.languages import LanguageCatalog
from src.services.on_demand import OnDemand
from src.services.pipeline import Pipeline
from src.services.profiles import CLONES, Profiles
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from src.utils.cache import MemoryCache
from src.workers.decoder import RemoteDecoder, assemble
from src.workers.engines import RemoteSpeakerAnalyzer, RemoteTranscriber, RemoteVoice
from src.workers.job_worker import JobWorker
from src.workers.process_pool import ProcessPool

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Engines:
    """What does the work. Tests and benchmarks put their own here.

    `runners` are started and closed with the service, `close` is awaited at its end.
    """

    decoder: AudioDecoder
    transcriber: Transcriber
    translators: tuple[Translator, ...]
    voice: VoiceEngine
    analyzer: SpeakerAnalyzer
    runners: Mapping[str, Runner]
    notices: tuple[str, ...] = ()
    close: Callable[[], Awaitable[None]] | None = None


@asynccontextmanager
async def running_services(settings: Settings, engines: Engines | None = None) -> AsyncIterator[Services]:
    """Build everything, start it, and close it again in the reverse order, whatever happens in between."""
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = Database(settings.effective_database_url)
        stack.push_async_callback(database.close)
        await database.start()
        parts = engines if engines is not None else await asyncio.to_thread(build_engines, settings)
        if parts.close is not None:
            stack.push_async_callback(parts.close)
        for runner in parts.runners.values():
            stack.push_async_callback(runner.close)
        await asyncio.gather(*(runner.start() for runner in parts.runners.values()))
        yield await _start_services(settings, parts, database, stack)


def build_engines(settings: Settings) -> Engines:
    """The engines that the settings name, not yet started. Raises EngineUnavailable for one that is missing."""
    decoder = decoder_pool(settings)
    transcription, transcriber = _transcription(settings)
    voice = _pool(settings, espeak.EspeakVoice, "voice")
    analysis = _pool(settings, SpeakerAnalysis, "speaker analysis")
    apertium, notices = _apertium(settings)
    logger.info("voice: %s (VOICE_ENGINE=%s)", espeak.NAME, settings.voice_engine)
    return Engines(
        decoder=RemoteDecoder(decoder),
        transcriber=transcriber,
        translators=(apertium,),
        voice=RemoteVoice(voice, espeak.NAME, espeak.spoken_languages()),
        analyzer=RemoteSpeakerAnalyzer(analysis),
        runners={"decoder": decoder, "transcription": transcription, "voice": voice, "speaker_analysis": analysis},
        notices=notices,
        close=apertium.close,
    )


def _transcription(settings: Settings) -> tuple[ProcessPool, RemoteTranscriber]:
    """Whisper when it is named, or with `auto` when its weights are there; else pocketsphinx."""
    weights = _whisper_weights(settings)
    if weights is None:
        logger.info(
            "transcription: %s (TRANSCRIPTION_ENGINE=%s)", pocketsphinx_model.NAME, settings.transcription_engine
        )
        pool = _pool(settings, PocketsphinxModel, "transcription")
        return pool, RemoteTranscriber(pool, pocketsphinx_model.NAME, pocketsphinx_model.LANGUAGES)
    high = settings.whisper_model_high
    factory = partial(
        WhisperModel,
        weights,
        settings.device,
        high_weights=None if high is None else whisper_model.weights_file(high, settings.whisper_dir),
        threads=os.cpu_count(),
    )
    logger.info("transcription: whisper with %s (TRANSCRIPTION_ENGINE=%s)", weights, settings.transcription_engine)
    # One process: a copy of the network in each would share the same cores, or the same device.
    pool = _pool(settings, factory, "transcription", size=1)
    return pool, RemoteTranscriber(pool, whisper_model.NAME, whisper_model.languages_of(weights))


def _whisper_weights(settings: Settings) -> Path | None:
    if settings.transcription_engine == "pocketsphinx":
        return None
    try:
        return whisper_model.weights_file(settings.whisper_model, settings.whisper_dir)
    except EngineUnavailable as error:
        if settings.transcription_engine == "whisper":
            raise
        logger.info("transcription: not whisper: %s", error.detail)
        return None


def _apertium(settings: Settings) -> tuple[ApertiumTranslator, tuple[str, ...]]:
    """A machine without pairs still starts with `auto`, says so, and transcribes and clones."""
    unknown = set(settings.translation_engines) - {"auto", "apertium"}
    if unknown:
        raise EngineUnavailable(f"TRANSLATION_ENGINES names {', '.join(sorted(unknown))}; there are: auto, apertium.")
    apertium = ApertiumTranslator()
    if apertium.routes:
        logger.info("translation: %s, %d pairs (TRANSLATION_ENGINES)", apertium.name, len(apertium.routes))
        return apertium, ()
    missing = "Apertium has no language pairs here: install Debian's apertium, apertium-eng-spa and apertium-fr-es."
    if "apertium" in settings.translation_engines:
        raise EngineUnavailable(missing)
    logger.warning("translation: none. %s", missing)
    return apertium, (f"translation: {missing}",)


def _pool(settings: Settings, factory: Callable[[], object], name: str, *, size: int | None = None) -> ProcessPool:
    return ProcessPool(
        factory,
        size=settings.engine_processes if size is None else size,
        queue_size=settings.engine_queue_size,
        call_timeout_seconds=settings.job_timeout_seconds,
        name=name,
    )


def decoder_pool(settings: Settings) -> ProcessPool:
    """The decoder, not yet started: also for benchmarks whose other engines are stand-ins."""
    return ProcessPool(
        partial(
            assemble,
            AudioProcessing,
            partial(PyAvDecoder, settings.min_audio_seconds, settings.max_audio_seconds),
            SileroVad,
        ),
        size=settings.decoder_processes,
        queue_size=settings.job_queue_size,
        call_timeout_seconds=settings.decoder_timeout_seconds,
        name="decoder",
        init=apply_limits,
        before_call=renew_cpu_limit,
        environment={},
    )


async def _start_services(settings: Settings, engines: Engines, database: Database, stack: AsyncExitStack) -> Services:
    storage = LocalStorage(settings.data_dir / "audio", _signing_key(settings), settings.audio_url_ttl_seconds)
    await storage.start()
    cache = MemoryCache(settings.cache_max_bytes)
    usage = SqlUsageRepository(database)
    transcription = Transcription(engines.transcriber)
    voices = VoiceCloning(engines.voice, engines.analyzer, cache)
    profiles = Profiles(
        SqlProfileRepository(database), storage, engines.decoder, voices, settings.min_reference_seconds
    )
    translation = TextTranslation(engines.translators, cache)
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
    worker = JobWorker(queue, jobs.execute, settings.job_concurrency)
    _start_background(worker, jobs, storage, settings, stack)
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
        health=_health(engines, database, queue, worker),
        max_audio_bytes=settings.max_audio_bytes,
        sync_timeout_seconds=settings.sync_timeout_seconds,
        public_base_url=settings.public_base_url,
    )


def _signing_key(settings: Settings) -> bytes:
    if settings.url_signing_key is not None:
        return settings.url_signing_key.get_secret_value().encode()
    return load_or_create_key(settings.data_dir / "url-signing.key")


def _start_background(
    worker: JobWorker, jobs: Jobs, storage: Storage, settings: Settings, stack: AsyncExitStack
) -> None:
    worker.start()
    stack.push_async_callback(worker.close, settings.shutdown_grace_seconds)
    for work in (jobs.recover(), _sweep_for_ever(jobs, storage, settings.result_ttl_seconds)):
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        stack.push_async_callback(_stop, task)


async def _sweep_for_ever(jobs: Jobs, storage: Storage, older_than_seconds: float) -> None:
    while True:
        try:
            erased = await jobs.sweep(older_than_seconds), await storage.delete_under(CLONES, older_than_seconds)
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


def _health(engines: Engines, database: Database, queue: InProcessQueue, worker: JobWorker) -> Health:
    async def job_worker() -> None:
        _require(worker.alive, "the job worker has stopped")

    def runner_check(runner: Runner) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            _require(runner.alive, "no process of this engine is up")

        return check

    checks = {name: runner_check(runner) for name, runner in engines.runners.items()}
    return Health(
        {"database": database.ping, "job_worker": job_worker, **checks},
        {
            "transcription": engines.transcriber.name,
            "translation": ", ".join(translator.name for translator in engines.translators),
            "voice": engines.voice.name,
        },
        engines.notices,
        lambda: (len(queue), worker.running),
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise EngineUnavailable(otherwise)
