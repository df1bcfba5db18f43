"""A message that is heard in pieces."""

from dataclasses import dataclass, field, replace

import numpy as np

from src.domain.audio import Audio
from src.domain.errors import VoiceServiceError
from src.domain.provenance import FileMarks, Trust
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Segment, Transcript
from tests.fakes.fakes import Gate

RATE = 22_050


def long_speech(*stretches: tuple[float, float], seconds: float) -> DecodedSpeech:
    """Each second of it has samples of its own."""
    samples = (np.arange(round(seconds * RATE)) // RATE / 1000).astype(np.float32)
    return DecodedSpeech(Audio(samples, RATE), seconds + 1, 1.0, stretches=stretches)


LONG = long_speech((0, 5), (6, 14), (14.5, 22), (24, 33), seconds=33)
"""Cut at 5.5 s, as the first piece is short, and at 23 s, the longest pause that comes in time."""


@dataclass
class Ears:
    """Hears one sentence in each piece, told by the second at which the piece begins."""

    answers: dict[int, Transcript | VoiceServiceError] = field(default_factory=dict)
    gates: dict[int, Gate] = field(default_factory=dict)
    name: str = "ears"
    languages: frozenset[str] = frozenset({"en", "es", "fr"})
    asked: list[tuple[int, str | None]] = field(default_factory=list)

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        second = round(float(audio.samples[0]) * 1000)
        self.asked.append((second, language))
        if second in self.gates:
            await self.gates[second]()
        answer = self.answers.get(second) or heard(f"from {second}")
        if isinstance(answer, VoiceServiceError):
            raise answer
        return answer if language is None else replace(answer, language=language)


def heard(text: str, language: str = "en", probability: float | None = 0.9, confidence: float = 0.8) -> Transcript:
    return Transcript((Segment(text, 0.5, 4.5),), language, probability, confidence)


@dataclass
class LongMessages:
    """Decodes everything to LONG."""

    async def decode(self, data: bytes, declared: object) -> DecodedSpeech:
        return LONG

    async def read_marks(self, data: bytes, declared: object, trust: Trust, *, with_audio: bool) -> FileMarks:
        raise NotImplementedError
