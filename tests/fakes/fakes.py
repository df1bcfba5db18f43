"""Stand-ins for engines, through the ports: fixed, instant, and able to fail or to wait when a test says so."""

import asyncio
import hashlib
import threading
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from src.domain.audio import OUTPUT_SAMPLE_RATE, WORKING_SAMPLE_RATE, AnswerFormat, Audio, AudioFormat, Samples
from src.domain.errors import NoSpeechDetected, ReferenceTooShort, VoiceServiceError
from src.domain.identity import current_user
from src.domain.provenance import (
    C2paFinding,
    C2paMark,
    FileMarks,
    InfoFinding,
    InfoMark,
    MarkedFile,
    Trust,
    WatermarkFinding,
)
from src.domain.speech import (
    ACTIVITY_SECONDS,
    AS_CONFIGURED,
    NO_HINTS,
    Activity,
    DecodedSpeech,
    Hints,
    Quality,
    Segment,
    SpeechRequest,
    Transcript,
    Translation,
    VoiceConditioning,
    VoicePrint,
    Word,
    Wording,
)


@dataclass
class Gate:
    """Holds whoever passes until it is opened, and counts who came, who left by cancellation, and at most how many at
    once.
    """

    opened: threading.Event = field(default_factory=threading.Event)  # set from any thread
    entered: int = 0
    cancelled: int = 0
    inside: int = 0
    most_inside: int = 0

    async def __call__(self) -> None:
        self.entered += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            while not self.opened.is_set():
                await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1


def open_gate() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


def tone(seconds: float, sample_rate: int, frequency: float = 220.0) -> Audio:
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    return Audio((0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32), sample_rate)


class FakeDecoder:
    """One second of a tone whose pitch is a hash of the bytes; nothing of `b"silence"`, a tenth of `b"short"`. What is
    `b"long"` says that it has four minutes.
    """

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        if data == b"silence":
            raise NoSpeechDetected("Nobody speaks.")
        audio = tone(0.1 if data == b"short" else 1.0, WORKING_SAMPLE_RATE, pitch_of(data.hex()))
        return DecodedSpeech(audio, source_duration_seconds=240.0 if data == b"long" else 1.5, offset_seconds=0.25)

    async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        audio = (await self.decode(data, declared)).audio if with_audio else None
        return FileMarks(C2paFinding(found=False), InfoFinding(found=False, fields={}), 1.5, audio)


@dataclass
class FakeSigner:
    """Adds two bytes and no manifest."""

    name: str = "fake-signer"
    error: VoiceServiceError | None = None

    async def sign(self, file: bytes, at: datetime, kind: AnswerFormat) -> MarkedFile:
        if self.error is not None:
            raise self.error
        return MarkedFile(file + b"C2", (C2paMark("urn:c2pa:1", self.name, self_signed=True),))


@dataclass
class FakeWatermark:
    """Leaves the sound as it is."""

    name: str = "fake-watermark"
    message: str = "00ff"
    error: VoiceServiceError | None = None
    finding: WatermarkFinding = field(
        default_factory=lambda: WatermarkFinding("fake-watermark", 0.0, "1234", ours=False)
    )

    async def embed(self, audio: Audio) -> Audio:
        if self.error is not None:
            raise self.error
        return audio

    async def detect(self, audio: Audio) -> WatermarkFinding:
        return self.finding


def fake_info(wav: bytes, at: datetime) -> tuple[bytes, InfoMark]:
    return wav + b"INFO", InfoMark({"ICMT": "synthetic"})


@dataclass
class FakeTranscriber:
    """Hears the same sentences in every recording."""

    name: str = "fake-transcriber"
    languages: frozenset[str] = frozenset({"en", "fr"})
    sentences: tuple[str, ...] = ("good morning", "the train is late")
    segments: tuple[Segment, ...] = ()  # instead of the sentences
    error: VoiceServiceError | None = None
    gate: Gate = field(default_factory=open_gate)
    hints: Hints = NO_HINTS  # of the last call

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        self.hints = hints
        await self.gate()
        if self.error is not None:
            raise self.error
        if not self.sentences:
            raise NoSpeechDetected("Nothing was said.")
        segments = self.segments or tuple(
            Segment(text, float(index), index + 0.9, (Word(text, float(index), index + 0.9, 0.9),))
            for index, text in enumerate(self.sentences)
        )
        return Transcript(segments, language or "en", None if language is None else 1.0, 0.9)


@dataclass
class FakeTranslator:
    """Says each text backwards, in capitals of no language."""

    name: str = "fake-translator"
    configuration: str = ""
    contextual: bool = False
    pairs: tuple[tuple[str, str], ...] = (("en", "es"), ("en", "fr"), ("fr", "en"))
    error: VoiceServiceError | None = None
    calls: int = 0

    @property
    def routes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {pair: pair for pair in self.pairs}

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        return wording.asked

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Translation(tuple(text[::-1] for text in texts), self.name, (source, target))


@dataclass
class FakeVoice:
    """A tone per text, whose pitch is a hash of the text: two different texts never sound the same."""

    name: str = "fake-voice"
    languages: frozenset[str] = frozenset({"en", "es", "fr"})
    varies: bool = False
    gate: Gate = field(default_factory=open_gate)
    requests: list[SpeechRequest] = field(default_factory=list)
    conditioned: int = 0
    learning: Gate = field(default_factory=open_gate)
    too_short: bool = False
    has_own_voice: bool = True
    users: list[str] = field(default_factory=list)  # for whom it was told to learn a voice

    @property
    def said(self) -> tuple[str, ...]:
        """The sentences of all requests."""
        return tuple(text for request in self.requests for text in request.texts)

    async def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        self.conditioned += 1
        self.users.append(current_user.get())
        await self.learning()
        if self.too_short and (references or not self.has_own_voice):
            raise ReferenceTooShort("There is too little voiced speech.")
        sounds = b"".join(reference.samples.tobytes() for reference in references)
        return VoiceConditioning(self.name, hashlib.sha256(sounds).digest())

    async def speak(self, request: SpeechRequest) -> Audio:
        self.requests.append(request)
        await self.gate()
        tones = [tone(0.5, OUTPUT_SAMPLE_RATE, pitch_of(text)).samples for text in request.texts]
        return Audio(np.concatenate(tones), OUTPUT_SAMPLE_RATE)


def pitch_of(text: str) -> float:
    """Hz, 100 to 1000: the tone that FakeVoice makes of a text."""
    return 100.0 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big") / 65535 * 900.0


class FakeVoiceActivity:
    """Whatever is louder than a hundredth is speech."""

    async def listen(self, audio: Audio, state: tuple[Samples, ...]) -> Activity:
        frames = audio.samples.reshape(-1, round(ACTIVITY_SECONDS * audio.sample_rate))
        return Activity((np.sqrt(np.mean(np.square(frames), axis=1)) > 0.01).astype(np.float32), ())


class FakeAnalyzer:
    async def analyze(self, audio: Audio) -> VoicePrint:
        return VoicePrint(embedding=(1.0, *(0.0,) * 255), pitch_hz=120.0, brightness=0.3, timbre=(0.0,) * 12)
