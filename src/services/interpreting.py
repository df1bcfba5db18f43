"""Steps 2 to 4 of the pipeline in pieces: while one piece of a message is heard, the one before is translated, and what
came before that is spoken.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from src.domain.errors import UnsupportedLanguage
from src.domain.jobs import Stage, TranslatedSegment
from src.domain.speech import Quality, SpeechRequest, Transcript, Translation, VoiceConditioning, Wording
from src.services.safeguards.moderation import Review
from src.services.safeguards.provenance import Marking
from src.services.stage_clock import StageClock
from src.services.translation import TextTranslation, left_as_it_is
from src.services.voice_cloning import LearnedVoice, Speech, VoiceCloning
from src.utils.concurrency import after, in_order

_AHEAD = 2
"""Pieces that are translated before the first of them is spoken."""
_FIRST_SECONDS = 6.0
"""For so long the first sentence is spoken with nothing else heard beside it, as both want all of the processor."""


@dataclass(frozen=True, slots=True)
class Heard:
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Translated:
    """`translation` has a text for each segment."""

    transcript: Transcript
    translation: Translation

    @property
    def segments(self) -> tuple[TranslatedSegment, ...]:
        return translated_segments(self.transcript, self.translation)


@dataclass(frozen=True, slots=True)
class Spoken:
    """All pieces one after the other are the answer's samples."""

    speech: Speech


Piece = Heard | Translated | Spoken
Tell = Callable[[Piece], Awaitable[None]]


async def tell_nobody(piece: Piece) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What to speak with. `prosody`: the melody to follow; None: the voice's own. `notes`: sentences for `degraded`."""

    learned: LearnedVoice
    prosody: VoiceConditioning | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interpreting:
    """Of one message, into `target`. `tell` gets each piece as soon as it is there: those of a kind in order, a
    translation after what it translates, and speech after the translation that it says.
    """

    translation: TextTranslation
    voices: VoiceCloning
    marking: Marking
    target: str
    quality: Quality
    wording: Wording
    review: Review
    clock: StageClock
    tell: Tell
    _said: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, heard: AsyncGenerator[Transcript], learning: Awaitable[Voice]) -> None:
        """Until all is spoken. Raises what the three steps raise, and ContentBlocked: what may not pass ends here,
        before it is sent anywhere.
        """
        async with aclosing(self._spoken(self._translated(self._heard(heard)), learning)) as spoken:
            async for speech in spoken:
                await self.tell(Spoken(speech))
                self._said.set()

    async def _heard(self, heard: AsyncGenerator[Transcript]) -> AsyncGenerator[Transcript]:
        await self.clock.begin(Stage.TRANSCRIPTION)
        async with aclosing(heard):
            async for transcript in heard:
                await self.review.transcript(transcript)
                self.clock.end(Stage.TRANSCRIPTION)
                await self.tell(Heard(transcript))
                if transcript.segments:
                    yield transcript
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_FIRST_SECONDS):
                            await self._said.wait()
                    self._said.set()  # later pieces do not wait

    async def _translated(self, heard: AsyncGenerator[Transcript]) -> AsyncGenerator[tuple[str, ...]]:
        first = True
        async with aclosing(in_order(heard, self._translate, at_once=_AHEAD)) as translated:
            async for transcript, answer in translated:
                translation = answer
                if isinstance(translation, UnsupportedLanguage):
                    if first:
                        raise translation
                    translation = left_as_it_is(transcript.texts, transcript.language, self.target)
                    await self.review.translation(translation)
                first = False
                self.clock.end(Stage.TRANSLATION)
                await self.tell(Translated(transcript, translation))
                yield translation.texts

    async def _translate(self, transcript: Transcript) -> tuple[Transcript, Translation | UnsupportedLanguage]:
        """Segment by segment. It is kept for the next time only when it may pass."""
        await self.clock.begin(Stage.TRANSLATION)
        try:
            return transcript, await self.translation.translate(
                transcript.texts, transcript.spoken_in, self.target, self.wording, self.review.translation
            )
        except UnsupportedLanguage as error:
            return transcript, error

    async def _spoken(
        self, translated: AsyncGenerator[tuple[str, ...]], learning: Awaitable[Voice]
    ) -> AsyncGenerator[Speech]:
        async with aclosing(translated):
            first = await anext(translated, None)
            if first is None:
                return
            await self.clock.begin(Stage.VOICE_CLONING)
            voice = await learning
            request = SpeechRequest((), self.target, voice.learned.conditioning, voice.prosody, self.quality)
            texts = after(first, translated)
            async with aclosing(self.voices.in_pieces(texts, request, voice.learned)) as spoken:
                async for speech in spoken:
                    marked = replace(speech, audio=await self.marking.watermarked(speech.audio))
                    self.clock.end(Stage.VOICE_CLONING)
                    yield marked


def translated_segments(transcript: Transcript, translation: Translation) -> tuple[TranslatedSegment, ...]:
    return tuple(
        TranslatedSegment(segment.start, segment.end, segment.text, text, language)
        for segment, text, language in zip(transcript.segments, translation.texts, transcript.spoken_in, strict=True)
    )
