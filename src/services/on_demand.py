"""The smaller tasks, done while the caller waits: speech to text alone, a given text in a given voice, and whether a
file has the marks of synthetic speech.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import KW_ONLY, asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from src.domain.accounts import PlannedErasures
from src.domain.errors import DeadlineExceeded, JobCancelled, NotFound, VoiceServiceError
from src.domain.identity import current_user
from src.domain.jobs import UsageEvent
from src.domain.moderation import ModerationReport
from src.domain.ports import AudioDecoder, Storage
from src.domain.provenance import Detection, Mark, marks_from_json
from src.domain.repositories import UsageRepository
from src.domain.speech import NO_HINTS, Hints, Quality, Transcript, VoiceMatch
from src.services.profiles.profiles import CLONES, Profiles, clones_of
from src.services.safeguards.moderation import Moderation, Review
from src.services.safeguards.provenance import Marks
from src.services.saying import CloneRequest, RecordedSpeech, Saying
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning

_ERASED = '{"audio_key": "clones/erased"}'
"""In the place of the facts about an answer whose voice was deleted."""


class LongRecording(Exception):
    """A recording that a job shall hear."""


@dataclass(frozen=True, slots=True)
class Heard:
    transcript: Transcript
    engine: str
    degraded: tuple[str, ...]
    source_seconds: float
    processing_time_ms: float
    moderation: ModerationReport | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """`wav` is the answer's file; the same bytes are in storage under `audio_key`."""

    wav: bytes
    audio_key: str
    duration_seconds: float
    voice_match: VoiceMatch
    engine: str
    processing_time_ms: float
    provenance: tuple[Mark, ...] = ()
    degraded: tuple[str, ...] = ()
    moderation: ModerationReport | None = None

    def facts(self) -> str:
        """All but the audio, as JSON, for `OnDemand.spoken_before`."""
        facts = asdict(self)
        del facts["wav"]
        return json.dumps(facts)

    @classmethod
    def from_facts(cls, facts: dict[str, Any], wav: bytes) -> Self:
        moderated = facts.get("moderation")  # of earlier releases, none
        told = {
            "voice_match": VoiceMatch(**facts["voice_match"]),
            "degraded": tuple(facts.get("degraded", ())),
            "provenance": marks_from_json(facts.get("provenance")),
            "moderation": moderated and ModerationReport.of_json(moderated),
        }
        return cls(wav=wav, **{**facts, **told})


@dataclass(frozen=True, slots=True)
class Safeguards:
    """What each text passes through, and each answer."""

    moderation: Moderation
    marks: Marks


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is said, and what that is in another language."""

    transcription: Transcription
    translation: TextTranslation


@dataclass(frozen=True, slots=True)
class CloneStore:
    """Where answers of `clone` lie for `keep_seconds`, and where their erasure is planned."""

    storage: Storage
    plans: PlannedErasures
    keep_seconds: float


@dataclass(eq=False)
class OnDemand:
    decoder: AudioDecoder
    hearing: Hearing
    voices: VoiceCloning
    profiles: Profiles
    clones: CloneStore
    usage: UsageRepository
    safeguards: Safeguards
    _: KW_ONLY
    timeout_seconds: float

    @property
    def _saying(self) -> Saying:
        return Saying(self.decoder, self.voices, self.profiles, self.safeguards.marks.marking)

    async def transcribe(
        self,
        user_id: str,
        recorded: RecordedSpeech,
        language: str | None,
        quality: Quality,
        request_id: str | None = None,
        hints: Hints = NO_HINTS,
        target: str | None = None,
        at_most_seconds: float = math.inf,
    ) -> Heard:
        """What was said; with `target`, its segments in that language, without the times of words.

        Raises LongRecording, its audio counted, for more than `at_most_seconds`; decoding errors, NoSpeechDetected,
        UnsupportedLanguage, ContentBlocked, TranslationUnavailable, DeadlineExceeded.
        """
        start = time.perf_counter()
        review = self.safeguards.moderation.review(user_id, "transcribe", request_id or uuid4().hex)
        asked = UsageEvent(user_id, "transcribe", "completed", source_language=language)
        async with self._accounted(
            asked, "A job hears it: `/api/v1/voice/transcribe` with `Prefer: respond-async`."
        ) as account:
            speech = await self.decoder.decode(recorded.data, recorded.audio_format)
            if speech.source_duration_seconds > at_most_seconds:
                raise LongRecording
            answerable = self.hearing.translation.sources_of(target) if target is not None else None
            transcript = await self.hearing.transcription.transcribe(speech, language, quality, answerable, hints)
            await review.transcript(transcript)
            hearing, spoken_in = self.hearing.transcription.degraded(transcript, language), transcript.language
            if target is not None:
                transcript, notes = await self._translated(transcript, target, review)
                hearing = (*hearing, *notes)
            account.event = replace(
                account.event,
                source_language=spoken_in,
                target_language=target,
                seconds_in=speech.source_duration_seconds,
                transcription_engine=self.hearing.transcription.engine_name,
            )
        return Heard(
            transcript,
            self.hearing.transcription.engine_name,
            (*speech.notes, *review.degraded, *hearing),
            speech.source_duration_seconds,
            (time.perf_counter() - start) * 1000,
            review.report,
        )

    async def translate(self, user_id: str, heard: Heard, target: str, request_id: str | None = None) -> Heard:
        """What a job heard, in another language. Raises as `transcribe` does."""
        review = self.safeguards.moderation.review(user_id, "transcribe", request_id or uuid4().hex)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                transcript, notes = await self._translated(heard.transcript, target, review)
        except TimeoutError:
            raise DeadlineExceeded(f"The translation took longer than {self.timeout_seconds:g} s.") from None
        return replace(heard, transcript=transcript, degraded=(*heard.degraded, *review.degraded, *notes))

    def require_hearable(self, language: str | None, hints: Hints) -> None:
        """Raises UnsupportedLanguage, before a job is made of it."""
        self.hearing.transcription.require_languages(language, hints)

    async def _translated(
        self, transcript: Transcript, target: str, review: Review
    ) -> tuple[Transcript, tuple[str, ...]]:
        translation = await self.hearing.translation.translate(
            transcript.texts, transcript.spoken_in, target, approve=review.translation
        )
        segments = tuple(
            replace(segment, text=text, words=(), language=None)
            for segment, text in zip(transcript.segments, translation.texts, strict=True)
        )
        return replace(transcript, segments=segments, language=target), translation.degraded

    async def clone(self, user_id: str, request: CloneRequest, request_id: str | None = None) -> Spoken:
        """Raises ConsentRequired, UnsupportedLanguage, RequestInvalid for a text with nothing to say, ContentBlocked,
        decoding errors, NotFound.
        """
        start = time.perf_counter()
        review = self.safeguards.moderation.review(user_id, "clone", request_id or uuid4().hex)
        self._saying.sentences(request)
        asked = UsageEvent(user_id, "clone", "completed", target_language=request.language)
        async with self._accounted(asked, "A long text is spoken by a job: send `Prefer: respond-async`.") as account:
            said = await self._saying.say(user_id, request, review)
            audio_key = _answer_key(request.voice)
            await self._keep(user_id, audio_key, request.voice, account.event.at)
            await self.clones.storage.put(audio_key, said.file.data)
            account.event = replace(
                account.event,
                seconds_out=said.duration_seconds,
                characters=len(request.text),
                voice_engine=self.voices.engine_name,
            )
        elapsed_ms = (time.perf_counter() - start) * 1000
        return Spoken(
            said.file.data,
            audio_key,
            said.duration_seconds,
            said.match,
            self.voices.engine_name,
            elapsed_ms,
            said.file.marks,
            said.degraded,
            review.report,
        )

    async def require_sayable(self, user_id: str, request: CloneRequest) -> None:
        """Raises ConsentRequired, NotFound, UnsupportedLanguage, RequestInvalid, before a job is made of it."""
        await self._saying.require(user_id, request)

    async def _keep(self, user_id: str, audio_key: str, voice: RecordedSpeech | str, began: datetime) -> None:
        """That the answer is to be erased is planned before it is written. Raises NotFound when the profile, or the
        user, was deleted meanwhile.
        """
        profile = voice if isinstance(voice, str) else None
        await self.clones.plans.plan([audio_key], user_id, profile, self.clones.keep_seconds, since=began)

    async def detect(self, user_id: str, recorded: RecordedSpeech) -> Detection:
        """The marks of synthetic speech in a file. Raises decoding errors but those about speech, DeadlineExceeded."""
        async with self._accounted(UsageEvent(user_id, "detect", "completed")) as account:
            found = await self.safeguards.marks.detection.detect(recorded.data, recorded.audio_format)
            account.event = replace(account.event, seconds_in=found.duration_seconds)
        return found

    async def spoken_before(self, facts: str) -> Spoken:
        """The answer that `Spoken.facts` tells of. Raises NotFound when its audio was erased."""
        try:
            known = json.loads(facts or _ERASED)
            wav = await self.clones.storage.get(known["audio_key"])
        except NotFound:
            raise NotFound(
                "This Idempotency-Key's answer was erased. Send the request with a new key to have it spoken again."
            ) from None
        return Spoken.from_facts(known, wav)

    @asynccontextmanager
    async def _accounted(
        self, event: UsageEvent, advice: str = "Send less, or try later."
    ) -> AsyncIterator["_Account"]:
        """Bound the work inside by the deadline and count it, with the error's code when it fails. `advice`: for whom
        the deadline was too short.
        """
        current_user.set(event.user_id)
        account = _Account(event)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                yield account
        except LongRecording:
            account.counts = False
            raise
        except TimeoutError:
            account.event = replace(account.event, outcome=DeadlineExceeded.code)
            raise DeadlineExceeded(f"The work took longer than {self.timeout_seconds:g} s. {advice}") from None
        except asyncio.CancelledError:
            account.event = replace(account.event, outcome=JobCancelled.code)
            raise
        except VoiceServiceError as error:
            account.event = replace(account.event, outcome=error.code)
            raise
        finally:
            if account.counts:
                with suppress(NotFound):  # whoever was deleted meanwhile is not counted
                    await self.usage.add(account.event)


def _answer_key(voice: RecordedSpeech | str) -> str:
    """What a profile spoke lies in a folder of its own, to be deleted with it."""
    folder = clones_of(voice) if isinstance(voice, str) else CLONES
    return f"{folder}/{uuid4().hex}.wav"


@dataclass(slots=True)
class _Account:
    event: UsageEvent
    counts: bool = True
