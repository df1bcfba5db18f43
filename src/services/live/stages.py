"""The two stages behind the ear: an utterance is understood, and its translation is spoken."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from src.domain.audio import WORKING_SAMPLE_RATE, Audio
from src.domain.errors import ContentBlocked, Overloaded, VoiceServiceError
from src.domain.jobs import UsageEvent
from src.domain.languages import UNSPACED
from src.domain.moderation import Policy
from src.domain.ports import VoiceActivity
from src.domain.repositories import UsageRepository
from src.domain.speech import DecodedSpeech, Quality, SpeechRequest, Transcript, Translation
from src.services.accounts.audio_budget import AudioBudget
from src.services.deployment.languages import LanguageCatalog
from src.services.live.echo import Echo
from src.services.live.events import InputText, LiveEvent, LiveSettings, OutputAudio, OutputText, Utterance
from src.services.live.intake import RATE
from src.services.live.voice import SessionVoice
from src.services.profiles.profiles import Profiles
from src.services.safeguards.moderation import Moderation, Review
from src.services.safeguards.provenance import Marking
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import LearnedVoice, Speech, VoiceCloning, at_once, joined
from src.utils import metrics
from src.utils.audio import levelled, resample
from src.utils.concurrency import run_both
from src.utils.encoding import stretched

logger = logging.getLogger(__name__)

Emit = Callable[[LiveEvent], Awaitable[None]]

_CLAUSE = re.compile(r"[,;:.!?…、。，！？；：]$")
_PIECE = RATE  # samples: a second
_PATIENT_SECONDS, _HASTE, _MOST_HASTE = 2.0, 0.1, 1.25
"""So much sound may wait to be played; each second more is made up for by speaking a tenth faster, to a bound."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The services that a session goes through. `budget` None: audio is not limited."""

    activity: VoiceActivity
    transcription: Transcription
    translation: TextTranslation
    voices: VoiceCloning
    profiles: Profiles
    marking: Marking
    moderation: Moderation
    languages: LanguageCatalog
    usage: UsageRepository
    budget: AudioBudget | None


@dataclass(slots=True)
class Sums:
    """For the usage of the session."""

    seconds_out: float = 0.0
    characters: int = 0
    source_language: str | None = None
    translation_engine: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One caller's side of the stages. `clock` counts seconds."""

    user_id: str
    session_id: str
    emit: Emit
    clock: Callable[[], float]
    echo: Echo = field(default_factory=Echo)
    sums: Sums = field(default_factory=Sums)

    def used(self, parts: Parts, outcome: str, target: str | None, seconds_in: float) -> UsageEvent:
        """The session as it counts for the user."""
        sums = self.sums
        return UsageEvent(
            self.user_id,
            "live",
            outcome,
            source_language=sums.source_language,
            target_language=target,
            seconds_in=seconds_in,
            seconds_out=sums.seconds_out,
            characters=sums.characters,
            transcription_engine=parts.transcription.engine_name if sums.source_language else None,
            translation_engine=sums.translation_engine,
            voice_engine=parts.voices.engine_name if sums.seconds_out else None,
        )

    def lag_ms(self, since: float) -> int:
        return round(max(0.0, self.clock() - since) * 1000)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Translated, and to be said in `voice`."""

    utterance: Utterance
    texts: tuple[str, ...]
    language: str
    voice: LearnedVoice


class Understanding:
    """Speech to text, to text in another language; and the voice that it is said in, learned meanwhile."""

    def __init__(self, parts: Parts, line: Line) -> None:
        self._parts = parts
        self._line = line
        self._told_input = self._told_output = False

    async def guess(self, utterance: Utterance, settings: LiveSettings) -> tuple[float, ...]:
        """Hear an utterance that goes on, tell what is sure of it, and give the seconds at which its clauses end."""
        speech = await asyncio.to_thread(_prepared, utterance)
        transcript = await self._parts.transcription.transcribe(
            speech, settings.source, Quality.FAST, self._answerable(settings)
        )
        if settings.transcribes and not self._is_echo(transcript, utterance) and not self._blocks:
            await self._tell(utterance, utterance.agreement.agreed(transcript.text, transcript.language), transcript)
        timed = [word for segment in transcript.segments for word in segment.words]
        return tuple(word.end for word in timed[:-1] if _CLAUSE.search(word.text))

    async def hear(self, utterance: Utterance, settings: LiveSettings) -> tuple[DecodedSpeech, Transcript] | None:
        """What was said; None for the session's own voice. Raises as `Transcription.transcribe`, RateLimited,
        ContentBlocked.
        """
        if self._parts.budget is not None:
            await self._parts.budget.spend(self._line.user_id, utterance.audio.duration_seconds)
        speech = await asyncio.to_thread(_prepared, utterance)
        transcript = await self._parts.transcription.transcribe(
            speech, settings.source, Quality.BALANCED, self._answerable(settings)
        )
        if self._is_echo(transcript, utterance):
            return None
        await self._review().transcript(transcript)
        if settings.transcribes:
            await self._tell(utterance, utterance.agreement.rest(transcript.text, transcript.language), transcript)
        return speech, transcript

    async def translate(
        self,
        utterance: Utterance,
        heard: tuple[DecodedSpeech, Transcript],
        settings: LiveSettings,
        voice: SessionVoice,
    ) -> Sentences | None:
        """None: all of it is in that language already, and everybody has heard it. Raises ContentBlocked, and as
        `TextTranslation.translate` and `SessionVoice.after`.
        """
        assert settings.target is not None  # noqa: S101 - no sound is taken before it is known
        speech, transcript = heard
        spoken_in, review = transcript.spoken_in, self._review()
        translating = self._parts.translation.translate(
            transcript.texts, spoken_in, settings.target, settings.wording, review.translation
        )
        if all(language == settings.target for language in spoken_in):
            await self._tell_translation(utterance, await translating, settings.target, review.degraded)
            return None
        try:
            translation, (learned, notes) = await run_both(translating, voice.after(speech.audio))
        except ContentBlocked:
            await voice.forget()
            raise
        hearing = self._parts.transcription.degraded(transcript, settings.source)
        degraded = (*hearing, *review.degraded, *translation.degraded, *notes)
        await self._tell_translation(utterance, translation, settings.target, degraded)
        self._count(transcript, translation)
        sayable = tuple(
            text for text, language in zip(translation.texts, spoken_in, strict=True) if language != settings.target
        )
        return Sentences(utterance, sayable, settings.target, learned)

    def _answerable(self, settings: LiveSettings) -> frozenset[str] | None:
        return None if settings.target is None else self._parts.translation.sources_of(settings.target)

    def _is_echo(self, transcript: Transcript, utterance: Utterance) -> bool:
        return self._line.echo.is_heard(transcript.text, transcript.language, utterance.begun_at, utterance.ended_at)

    @property
    def _blocks(self) -> bool:
        """Whether a text must pass before any of it is told."""
        return self._parts.moderation.policy is Policy.BLOCK

    def _review(self) -> Review:
        return self._parts.moderation.review(self._line.user_id, "live", self._line.session_id)

    async def _tell(self, utterance: Utterance, delta: str, transcript: Transcript) -> None:
        if delta:
            if self._told_input and transcript.language not in UNSPACED and not delta[0].isspace():
                delta = f" {delta}"
            elapsed, lag = round(utterance.end * 1000), self._line.lag_ms(utterance.ended_at)
            await self._line.emit(InputText(delta, elapsed, lag))
            utterance.agreement.told(delta, transcript.language)
            self._told_input = True

    async def _tell_translation(
        self, utterance: Utterance, translation: Translation, target: str, degraded: tuple[str, ...]
    ) -> None:
        space = "" if target in UNSPACED else " "
        delta = (space if self._told_output else "") + space.join(translation.texts)
        elapsed, lag = round(utterance.end * 1000), self._line.lag_ms(utterance.ended_at)
        await self._line.emit(OutputText(delta, elapsed, lag, degraded))
        self._told_output = True

    def _count(self, transcript: Transcript, translation: Translation) -> None:
        sums = self._line.sums
        sums.characters += sum(map(len, translation.texts))
        sums.source_language = transcript.language
        if translation.engine != "none":
            sums.translation_engine = translation.engine


class Speaking:
    """Text to speech, told as it is made. `lag_seconds`: what would be played later than that is left out."""

    def __init__(self, parts: Parts, line: Line, lag_seconds: float) -> None:
        self._parts = parts
        self._line = line
        self._lag_seconds = lag_seconds
        self._played_until = 0.0  # on the line's clock, by a player that does not wait

    async def speak(self, sentences: Sentences) -> None:
        """Raises as `VoiceCloning.in_pieces`, EngineUnavailable where it made no sound, Overloaded where it would come
        too late.
        """
        behind = max(self._line.clock(), self._played_until) - sentences.utterance.ended_at
        if behind > self._lag_seconds:
            raise Overloaded(f"Its translation would be heard {behind:.0f} s later.")
        request = SpeechRequest((), sentences.language, sentences.voice.conditioning)
        speaking = self._parts.voices.in_pieces(at_once(sentences.texts), request, sentences.voice)
        async with aclosing(speaking) as pieces:
            async for piece in pieces:
                if piece.sentences:
                    await self._tell(joined((piece,)), sentences)

    async def _tell(self, spoken: Speech, sentences: Sentences) -> None:
        utterance = sentences.utterance
        sound = await self._parts.marking.watermarked(await self._in_time(spoken.audio))
        begins = max(self._line.clock(), self._played_until)
        self._played_until = begins + sound.duration_seconds
        metrics.LIVE_LAG_SECONDS.observe(max(0.0, begins - utterance.ended_at))
        written = " ".join(sentences.texts)
        self._line.echo.said(written, sentences.language, self._line.clock(), self._played_until)
        self._line.sums.seconds_out += sound.duration_seconds
        elapsed = round(utterance.end * 1000)
        for start in range(0, len(sound.samples), _PIECE):
            lag = round((begins + start / RATE - utterance.ended_at) * 1000)
            piece = Audio(sound.samples[start : start + _PIECE], RATE)
            degraded = () if start else spoken.degraded
            await self._line.emit(OutputAudio(piece, elapsed, max(0, lag), degraded))

    async def _in_time(self, audio: Audio) -> Audio:
        """At 24 kHz; faster where much waits to be played, as a translation is often longer than what it translates."""
        waiting = self._played_until - self._line.clock()
        speed = min(_MOST_HASTE, 1.0 + _HASTE * (waiting - _PATIENT_SECONDS))
        if speed > 1.0:
            audio = await asyncio.to_thread(stretched, audio, speed)
        return await asyncio.to_thread(resample, audio, RATE)


def left_out(error: VoiceServiceError, utterance: Utterance) -> VoiceServiceError:
    """The same, saying which speech it is about."""
    span = f"Speech from {utterance.begin:.1f} s to {utterance.end:.1f} s was left out: {error.detail}"
    return type(error)(span, retry_after_seconds=error.retry_after_seconds)


def _prepared(utterance: Utterance) -> DecodedSpeech:
    """As the decoder makes it of a file."""
    audio = resample(utterance.audio, WORKING_SAMPLE_RATE)
    speech = replace(audio, samples=levelled(audio.samples, audio.sample_rate))
    return DecodedSpeech(speech, audio.duration_seconds, utterance.begin)
