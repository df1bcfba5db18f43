"""Settings to engines: which of them do the work, and in which processes they live."""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.adapters.decoding.sandbox import apply_limits, renew_cpu_limit
from src.bootstrap_translators import build_translators
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.ports import AudioDecoder, Runner, SpeakerAnalyzer, Transcriber, Translator, VoiceEngine
from src.models import pocketsphinx_model, whisper_model
from src.models.espeak_voice import engine as espeak
from src.models.pocketsphinx_model import PocketsphinxModel
from src.models.silero_vad import SileroVad
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel
from src.services.audio_processing import AudioProcessing
from src.workers.decoder import RemoteDecoder, assemble
from src.workers.engines import RemoteSpeakerAnalyzer, RemoteTranscriber, RemoteVoice
from src.workers.process_pool import ProcessPool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engines:
    """What does the work. Tests and benchmarks put their own here.

    `runners` are started and closed with the service, `close` is awaited at its end. `notices` say what is less than it
    should be since the start, `passing_notices` what is so now.
    """

    decoder: AudioDecoder
    transcriber: Transcriber
    translators: tuple[Translator, ...]
    voice: VoiceEngine
    analyzer: SpeakerAnalyzer
    runners: Mapping[str, Runner]
    notices: tuple[str, ...] = ()
    passing_notices: Callable[[], tuple[str, ...]] = tuple
    close: Callable[[], Awaitable[None]] | None = None


def build_engines(settings: Settings) -> Engines:
    """The engines that the settings name, not yet started. Raises EngineUnavailable for one that is missing."""
    decoder = decoder_pool(settings)
    transcription, transcriber = _transcription(settings)
    speaking, voice = _voice(settings)
    analysis = _pool(settings, SpeakerAnalysis, "speaker analysis")
    translation = build_translators(settings)
    return Engines(
        decoder=RemoteDecoder(decoder),
        transcriber=transcriber,
        translators=translation.engines,
        voice=voice,
        analyzer=RemoteSpeakerAnalyzer(analysis),
        runners={"decoder": decoder, "transcription": transcription, "voice": speaking, "speaker_analysis": analysis},
        notices=translation.notices,
        passing_notices=translation.resting,
        close=translation.close,
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


def _transcription(settings: Settings) -> tuple[ProcessPool, RemoteTranscriber]:
    """Whisper when it is named, or with `auto` when its weights are there; else pocketsphinx."""
    weights = _whisper_weights(settings)
    if weights is None:
        name = pocketsphinx_model.NAME
        logger.info("transcription: %s (TRANSCRIPTION_ENGINE=%s)", name, settings.transcription_engine)
        pool = _pool(settings, PocketsphinxModel, "transcription")
        return pool, RemoteTranscriber(pool, name, pocketsphinx_model.LANGUAGES)
    high = settings.whisper_model_high
    factory = partial(
        WhisperModel,
        weights,
        settings.device,
        high_weights=None if high is None else whisper_model.weights_file(high, settings.whisper_dir),
        threads=os.cpu_count(),
    )
    logger.info("transcription: whisper with %s (TRANSCRIPTION_ENGINE=%s)", weights, settings.transcription_engine)
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


def _voice(settings: Settings) -> tuple[ProcessPool, RemoteVoice]:
    """XTTS-v2 when named, or with `auto` when its checkpoint is there and its licence accepted; else espeak-ng."""
    if not _takes_xtts(settings):
        logger.info("voice: %s (VOICE_ENGINE=%s)", espeak.NAME, settings.voice_engine)
        pool = _pool(settings, espeak.EspeakVoice, "voice")
        return pool, RemoteVoice(pool, espeak.NAME, espeak.spoken_languages())
    # Imported here: coqui-tts is no part of an embedded installation.
    from src.models.xtts.conditioning import ENGINE  # noqa: PLC0415
    from src.models.xtts.coqui import spoken_languages  # noqa: PLC0415
    from src.models.xtts_model import XttsModel  # noqa: PLC0415

    factory = partial(
        XttsModel,
        settings.xtts_dir,
        licence_accepted=settings.coqui_tos_agreed,
        device=settings.device,
        threads=os.cpu_count(),
    )
    logger.info("voice: %s from %s (VOICE_ENGINE=%s)", ENGINE, settings.xtts_dir, settings.voice_engine)
    pool = _pool(settings, factory, "voice", size=1)
    return pool, RemoteVoice(pool, ENGINE, spoken_languages())


def _takes_xtts(settings: Settings) -> bool:
    if settings.voice_engine == "xtts":
        return True
    if settings.voice_engine == "espeak" or not (settings.xtts_dir / "model.pth").is_file():
        return False
    if not settings.coqui_tos_agreed:
        logger.warning("voice: not xtts, although its checkpoint is there: COQUI_TOS_AGREED is not set")
    return settings.coqui_tos_agreed


def _pool(settings: Settings, factory: Callable[[], object], name: str, *, size: int | None = None) -> ProcessPool:
    """`size` 1 for networks: a copy of one in each process would share the same cores, or the same device."""
    return ProcessPool(
        factory,
        size=settings.engine_processes if size is None else size,
        queue_size=settings.engine_queue_size,
        call_timeout_seconds=settings.job_timeout_seconds,
        name=name,
    )
