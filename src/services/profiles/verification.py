"""Whether the speaker of a profile's recordings is there and agrees: says a given sentence, in the same voice.

This holds off recordings of somebody who is not there. It does not hold off who can make a voice say any sentence, as
this service does: for that there is no remedy in the sound alone.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise

from src.domain.audio import Audio, AudioFormat
from src.domain.consent import Challenge
from src.domain.errors import (
    ConsentRequired,
    DeadlineExceeded,
    NoSpeechDetected,
    SpeechNotUnderstood,
    VerificationFailed,
    about,
)
from src.domain.ports import AudioDecoder, SpeakerAnalyzer
from src.domain.speech import DecodedSpeech, Quality, compare
from src.services.profiles.challenges import Challenges
from src.services.transcription import Transcription
from src.utils.concurrency import run_both
from src.utils.words import word_error_rate

_PIECE_SECONDS = 6.0
"""A reference is compared in pieces of about this, about what a sentence takes to say: all of it must be the speaker,
so that another voice cannot hide in a long recording."""


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """A challenge's sentence as the caller recorded it: bytes after base64."""

    challenge_id: str
    audio: bytes
    audio_format: AudioFormat


@dataclass(frozen=True, slots=True)
class Bounds:
    """What passes: at most so many words wrong, of all; a cosine of speaker embeddings of at least so much.

    `scripts/benchmark.py --suite consent` measures what they let through.
    """

    word_error_rate: float = 0.3
    similarity: float = 0.8


@dataclass(eq=False)
class Verification:
    """`required`: whether profiles that are not verified may be kept and spoken with."""

    challenges: Challenges
    decoder: AudioDecoder
    transcription: Transcription
    analyzer: SpeakerAnalyzer
    bounds: Bounds = Bounds()
    _: KW_ONLY
    required: bool
    timeout_seconds: float

    def require(self, *, verified: bool) -> None:
        """Raises ConsentRequired where `verified` is needed and not so."""
        if self.required and not verified:
            raise ConsentRequired(
                "Here a voice is used only when its speaker was heard to agree. Get a sentence from POST "
                "/api/v1/voice/profile/challenge, and send its recording as `verification` with a new profile, or to "
                "/api/v1/voice/profile/{id}/verification for one that is there."
            )

    async def confirm(self, user_id: str, answer: SpokenAnswer, references: tuple[Audio, ...]) -> None:
        """The answer's speaker says the challenge's sentence, and is the speaker of all of each reference.

        An answer that can be decoded uses its challenge up, whatever comes of it. Raises VerificationFailed, NotFound
        for a challenge that cannot be answered any more, DeadlineExceeded, decoding errors.
        """
        try:
            async with asyncio.timeout(self.timeout_seconds):
                with about("verification.audio"):
                    speech = await self.decoder.decode(answer.audio, answer.audio_format)
                challenge = await self.challenges.take(answer.challenge_id, user_id)
                right_words, same_voice = await run_both(
                    self._says(speech, challenge), self._is_speaker(speech.audio, references)
                )
        except TimeoutError:
            raise DeadlineExceeded(
                f"Listening took longer than {self.timeout_seconds:g} s. Ask for a new challenge, and try again."
            ) from None
        if not (right_words and same_voice):
            raise VerificationFailed(_reason(right_words=right_words, same_voice=same_voice))

    async def _says(self, speech: DecodedSpeech, challenge: Challenge) -> bool:
        try:
            heard = await self.transcription.transcribe(speech, challenge.language, Quality.BALANCED)
        except (NoSpeechDetected, SpeechNotUnderstood):
            return False
        wrong = word_error_rate(challenge.sentence, heard.text, challenge.language)
        return wrong <= self.bounds.word_error_rate

    async def _is_speaker(self, answer: Audio, references: tuple[Audio, ...]) -> bool:
        speaker = await self.analyzer.analyze(answer)
        for reference in references:
            for piece in pieces(reference):
                if compare(await self.analyzer.analyze(piece), speaker).similarity < self.bounds.similarity:
                    return False
        return True


def pieces(audio: Audio) -> Iterator[Audio]:
    """All of it, in equal parts of about `_PIECE_SECONDS`."""
    count = max(1, round(audio.duration_seconds / _PIECE_SECONDS))
    edges = [round(len(audio.samples) * number / count) for number in range(count + 1)]
    for start, end in pairwise(edges):
        yield Audio(audio.samples[start:end], audio.sample_rate)


def _reason(*, right_words: bool, same_voice: bool) -> str:
    """Without a word of what was heard."""
    wrong = [] if right_words else ["the words are not those of the sentence"]
    wrong += [] if same_voice else ["the voice is not the one of the reference recordings"]
    advice = (
        "Ask for a new challenge; record both with the same microphone, in a quiet place."
        if not same_voice
        else "Ask for a new challenge, and read it out in its language."
    )
    return f"{' and '.join(wrong).capitalize()}. {advice}"
