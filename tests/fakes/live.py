"""Live sessions on fakes, and sound for them: the pitch of a tone tells what is said, a word for each half second."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from src.domain.audio import Audio
from src.domain.speech import NO_HINTS, Hints, Quality, Segment, Transcript, Word
from src.services.deployment.languages import LanguageCatalog
from src.services.live.intake import RATE
from src.services.live.stages import Parts
from src.utils.audio import encode_pcm
from tests.fakes.assembly import Bench
from tests.fakes.fakes import FakeVoiceActivity, Gate, open_gate, tone

_LOWEST, _STEP = 200.0, 20.0
_SYLLABLES = ("bo", "ka", "ri", "mu", "te", "lo", "sa", "ni", "du", "ge", "fo", "ha")


def pitch(speaker: int) -> float:
    return _LOWEST + _STEP * speaker


def name_of(speaker: int) -> str:
    """Two letters that no other speaker's words have in front."""
    return "".join(chr(ord("a") + digit) for digit in divmod(speaker, 26))


def words_of(speaker: int, seconds: float) -> str:
    """What that speaker is heard saying in so many seconds."""
    return " ".join(f"{name_of(speaker)}{_SYLLABLES[index % 12]}" for index in range(max(1, int(seconds / 0.5))))


@cache
def said(speaker: int, seconds: float = 1.0, pause: float = 1.0) -> bytes:
    """PCM16, 24 kHz: speech, and then silence."""
    samples = tone(seconds, RATE, pitch(speaker)).samples
    return encode_pcm(np.pad(samples, (0, round(pause * RATE))))


@dataclass
class ToneTranscriber:
    """Hears who speaks by the pitch, and how much by the seconds above a tenth of the peak."""

    name: str = "tones"
    languages: frozenset[str] = frozenset({"en", "es", "fr"})
    language: str = "en"
    gate: Gate = field(default_factory=open_gate)
    calls: list[Quality] = field(default_factory=list)

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        self.calls.append(quality)
        await self.gate()
        loud = np.flatnonzero(np.abs(audio.samples) > 0.1 * np.abs(audio.samples).max())
        seconds = (loud[-1] - loud[0] + 1) / audio.sample_rate
        spectrum = np.abs(np.fft.rfft(audio.samples))
        peak = float(np.argmax(spectrum)) * audio.sample_rate / len(audio.samples)
        text = words_of(round((peak - _LOWEST) / _STEP), seconds + 0.05)
        timed = tuple(Word(word, index / 2, index / 2 + 0.5, 0.9) for index, word in enumerate(text.split()))
        return Transcript((Segment(text, 0.0, seconds, timed),), self.language, 0.99, 0.9)


def live_parts(bench: Bench) -> Parts:
    """The services of a bench, for live sessions."""
    return Parts(
        FakeVoiceActivity(),
        bench.transcription,
        bench.pipeline.translation,
        bench.voices,
        bench.profiles,
        bench.marks.marking,
        bench.moderation,
        LanguageCatalog(bench.transcription._transcriber, (bench.translator,), bench.voice),
        bench.usage,
        None,
    )
