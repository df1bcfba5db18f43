"""The engines that the settings name, and the processes that they run in."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from src.adapters.decoding.sandbox import apply_limits, renew_cpu_limit
from src.bootstrap.translators import build_translators
from src.config.settings import Settings
from src.domain.leases import Abilities
from src.domain.ports import AudioDecoder, Runner, SpeakerAnalyzer, Transcriber, Translator, VoiceActivity, VoiceEngine
from src.domain.provenance import MarkReader
from src.services.safeguards.provenance import MarkProcessing
from src.workers.engines import (
    Named,
    RemoteDecoder,
    RemoteSpeakerAnalyzer,
    RemoteTranscriber,
    RemoteVoice,
    RemoteVoiceActivity,
    assemble,
)
from src.workers.gpu_worker import GpuWorker
from src.workers.process_pool import ProcessPool

logger = logging.getLogger(__name__)

_JOBS, _BATCHED_JOBS = 2, 16
"""At the same time: engines in pools do one call for each process; networks do many for little more than one."""
MAX_WAITING_CALLS = 32
"""For one engine, or for the workers; above it a request gets 503 `overloaded`."""
_MIN_AUDIO_SECONDS = 1.0
_ESPEAK_ALONE = (
    "All languages are spoken by espeak-ng, which is hard to understand: the files of Kokoro-82M are not there. "
    "scripts/download_models.py kokoro brings them."
)
_DECODER_SECONDS = 20.0
"""Wall time for one file; then its process is killed."""


_MAX_LISTENING_CALLS, _LISTENING_SECONDS = 256, 5.0
"""A live session has one call at a time."""


class Decoder(AudioDecoder, MarkReader, Protocol):
    """What untrusted bytes are given to."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What does the work. Tests and benchmarks put their own here.

    `runners` are started and closed with the service; one may stand under two names. `close` is awaited at the end.
    `job_concurrency`: jobs to do at the same time when the settings leave it open. `standing_notices` say what is less
    than it should be since the start, `passing_notices` what is so now.
    """

    decoder: Decoder
    transcriber: Transcriber
    translators: tuple[Translator, ...]
    voice: VoiceEngine
    analyzer: SpeakerAnalyzer
    activity: VoiceActivity
    runners: Mapping[str, Runner]
    job_concurrency: int = _JOBS
    standing_notices: tuple[str, ...] = ()
    passing_notices: Callable[[], tuple[str, ...]] = tuple
    close: Callable[[], Awaitable[None]] | None = None

    def names(self) -> Mapping[str, str]:
        """As answers name them; of networks also which, on what device and in which precision."""
        return {
            "transcription": self._told("transcription", self.transcriber.name, "transcribe"),
            "translation": ", ".join(translator.name for translator in self.translators) or "none",
            "voice": self._told("voice", self.voice.name, "speak"),
        }

    def _told(self, stage: str, name: str, method: str) -> str:
        runner = self.runners.get(stage)
        told = runner.told.get(method) if isinstance(runner, GpuWorker) else None
        return f"{name} ({told})" if told else name

    def notices(self) -> tuple[str, ...]:
        """What is less than it should be now."""
        return (*self.standing_notices, *self.passing_notices())


@dataclass(frozen=True, slots=True)
class SpeechEngines:
    """The large ones: what hears, what speaks, and what they run in."""

    transcriber: Transcriber
    voice: VoiceEngine
    runners: Mapping[str, Runner] = field(default_factory=dict)
    job_concurrency: int = _JOBS
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An engine that the settings name. `batches`: its factory makes a BatchEngine, for the owner of a device.
    `notices`: what is less than it could be.
    """

    abilities: Abilities
    factory: Callable[[], Any]
    batches: bool = False
    notices: tuple[str, ...] = ()


async def start_engines(
    settings: Settings, given: Engines | None, remote: SpeechEngines | None, stack: AsyncExitStack
) -> Engines:
    """Those `given`, or those that the settings name; of the large ones those of `remote` workers, where there are any.

    Raises EngineUnavailable.
    """
    if given is None:
        engines = await asyncio.to_thread(build_engines, settings, remote)
    else:
        engines = replace(given, transcriber=remote.transcriber, voice=remote.voice) if remote else given
    if engines.close is not None:
        stack.push_async_callback(engines.close)
    runners = list(dict.fromkeys(engines.runners.values()))
    for runner in runners:
        stack.push_async_callback(runner.close)
    await asyncio.gather(*(runner.start() for runner in runners))
    return engines


def build_engines(settings: Settings, remote: SpeechEngines | None = None) -> Engines:
    """The engines that the settings name, not yet started. Raises EngineUnavailable for one that is missing."""
    speech = remote or _speech_engines(settings)
    decoder = decoder_pool(settings)
    analysis = _pool(settings, Named("src.models.speaker_analysis", "SpeakerAnalysis"), "speaker analysis")
    activity = _activity_pool()
    translation = build_translators(settings)
    return Engines(
        decoder=RemoteDecoder(decoder),
        transcriber=speech.transcriber,
        translators=translation.engines,
        voice=speech.voice,
        analyzer=RemoteSpeakerAnalyzer(analysis),
        activity=RemoteVoiceActivity(activity),
        runners={"decoder": decoder, **speech.runners, "speaker_analysis": analysis, "voice_activity": activity},
        job_concurrency=speech.job_concurrency,
        standing_notices=(*speech.notices, *translation.notices),
        passing_notices=translation.resting,
        close=translation.close,
    )


def _speech_engines(settings: Settings) -> SpeechEngines:
    recogniser, voice = _recogniser(settings), _voice(settings)
    hearing, speaking = _runners(settings, recogniser, voice)
    return SpeechEngines(
        RemoteTranscriber(hearing, lambda: recogniser.abilities),
        RemoteVoice(speaking, lambda: voice.abilities),
        {"transcription": hearing, "voice": speaking},
        _BATCHED_JOBS,
        voice.notices,
    )


def _activity_pool() -> ProcessPool:
    """One process for all live sessions: it listens to a second of sound in ten milliseconds."""
    silero = Named("src.models.silero_vad", "SileroVad")
    return ProcessPool(silero, 1, _MAX_LISTENING_CALLS, _LISTENING_SECONDS, "voice activity")


def decoder_pool(settings: Settings) -> ProcessPool:
    """The decoder, not yet started: also for benchmarks whose other engines are stand-ins."""
    pyav = Named("src.adapters.decoding.pyav_decoder", "PyAvDecoder")
    return ProcessPool(
        partial(
            assemble,
            Named("src.services.audio_processing", "AudioProcessing"),  # loads scipy, which is a third of a start
            partial(pyav, _MIN_AUDIO_SECONDS, settings.max_audio_seconds),
            Named("src.models.silero_vad", "SileroVad"),
            partial(
                assemble,
                MarkProcessing,
                partial(pyav, 0.0, settings.max_audio_seconds),
                Named("src.adapters.provenance.mark_reading", "MarkFiles"),
            ),
        ),
        size=settings.engine_processes,
        queue_size=settings.job_queue_size,
        call_timeout_seconds=_DECODER_SECONDS,
        name="decoder",
        init=apply_limits,
        before_call=renew_cpu_limit,
        environment={},
    )


def _recogniser(settings: Settings) -> _Chosen:
    """Whisper. Raises EngineUnavailable where its weights are missing."""
    # Models are imported where they are chosen: a process whose engines are elsewhere does without torch.
    from src.models import whisper_model  # noqa: PLC0415
    from src.models.whisper.batch import load_whisper  # noqa: PLC0415

    weights = whisper_model.weights_file(settings.whisper_model, settings.whisper_dir)
    high = settings.whisper_model_high
    factory = partial(
        load_whisper,
        weights,
        settings.device,
        high_weights=None if high is None else whisper_model.weights_file(high, settings.whisper_dir),
        threads=os.cpu_count(),
    )
    logger.info("transcription: whisper with %s", weights)
    return _Chosen(Abilities(whisper_model.NAME, whisper_model.languages_of(weights)), factory, batches=True)


def _voice(settings: Settings) -> _Chosen:
    """XTTS-v2 when named, or with `auto` when its checkpoint is there and its licence accepted; else the embedded."""
    if not _takes_xtts(settings):
        from src.models.embedded_voice import engine, kokoro_files  # noqa: PLC0415

        missing = kokoro_files.missing(settings.kokoro_dir)
        name = engine.ESPEAK_ALONE if missing else engine.NAME
        logger.info("voice: %s (VOICE_ENGINE=%s)", name, settings.voice_engine)
        if missing:
            logger.warning("voice: espeak-ng speaks without Kokoro: %s", missing)
        embedded = partial(engine.EmbeddedVoice, None if missing else settings.kokoro_dir)
        abilities = Abilities(name, engine.spoken_languages())
        return _Chosen(abilities, embedded, notices=(_ESPEAK_ALONE,) if missing else ())
    # Imported here: coqui-tts is no part of an embedded installation.
    from src.models.xtts.conditioning import ENGINE  # noqa: PLC0415
    from src.models.xtts.coqui import spoken_languages  # noqa: PLC0415
    from src.models.xtts_model import load_xtts_batch  # noqa: PLC0415

    factory = partial(
        load_xtts_batch,
        settings.xtts_dir,
        licence_accepted=settings.coqui_tos_agreed,
        device=settings.device,
        slots=settings.xtts_slots,
        threads=os.cpu_count(),
    )
    logger.info("voice: %s from %s (VOICE_ENGINE=%s)", ENGINE, settings.xtts_dir, settings.voice_engine)
    return _Chosen(Abilities(ENGINE, spoken_languages(), varies=True), factory, batches=True)


def _runners(settings: Settings, recogniser: _Chosen, voice: _Chosen) -> tuple[Runner, Runner]:
    """Where the two live: networks together in one process, the owner of the device; an embedded voice in a pool."""
    networks = [chosen.factory for chosen in (recogniser, voice) if chosen.batches]
    owner = GpuWorker(
        *networks,
        queue_size=MAX_WAITING_CALLS,
        in_flight=2 * settings.xtts_slots,
        call_timeout_seconds=settings.job_timeout_seconds,
        name="speech network",
    )
    return owner, owner if voice.batches else _pool(settings, voice.factory, "voice")


def _takes_xtts(settings: Settings) -> bool:
    if settings.voice_engine == "xtts":
        return True
    if settings.voice_engine == "embedded" or not (settings.xtts_dir / "model.pth").is_file():
        return False
    if not settings.coqui_tos_agreed:
        logger.warning("voice: not xtts, although its checkpoint is there: COQUI_TOS_AGREED is not set")
    return settings.coqui_tos_agreed


def _pool(settings: Settings, factory: Callable[[], object], name: str) -> ProcessPool:
    return ProcessPool(
        factory,
        size=settings.engine_processes,
        queue_size=MAX_WAITING_CALLS,
        call_timeout_seconds=settings.job_timeout_seconds,
        name=name,
    )
