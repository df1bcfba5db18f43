"""The ports of the domain over a Runner: the same call, made where the model lives."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from src.domain.audio import Audio, AudioFormat, Samples
from src.domain.errors import EngineUnavailable
from src.domain.leases import Abilities
from src.domain.ports import Runner
from src.domain.provenance import FileMarks, Trust, WatermarkFinding
from src.domain.speech import (
    NO_HINTS,
    Activity,
    DecodedSpeech,
    Hints,
    Quality,
    SpeechRequest,
    Transcript,
    VoiceConditioning,
    VoicePrint,
)
from src.utils.concurrency import finish_before_cancel

T = TypeVar("T")

NO_ENGINE = "none"
"""The name of an engine that no worker has."""


class _RemoteEngine:
    """`abilities`: what it can do now. They may raise EngineUnavailable, and so do `languages` and `varies`."""

    def __init__(self, runner: Runner, abilities: Callable[[], Abilities]) -> None:
        self._runner = runner
        self._abilities = abilities

    @property
    def name(self) -> str:
        try:
            return self._abilities().engine
        except EngineUnavailable:
            return NO_ENGINE

    @property
    def languages(self) -> frozenset[str]:
        return self._abilities().languages


class RemoteTranscriber(_RemoteEngine):
    """`domain.ports.Transcriber` for a model whose `transcribe` runs in `runner`."""

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        return cast("Transcript", await self._runner.run("transcribe", audio, language, quality, hints))


class RemoteVoice(_RemoteEngine):
    """`domain.ports.VoiceEngine` for a model whose `condition` and `speak` run in `runner`."""

    @property
    def varies(self) -> bool:
        return self._abilities().varies

    async def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        return cast("VoiceConditioning", await self._runner.run("condition", references))

    async def speak(self, request: SpeechRequest) -> Audio:
        return cast("Audio", await self._runner.run("speak", request))


class RemoteSpeakerAnalyzer:
    """`domain.ports.SpeakerAnalyzer` for a model whose `analyze` runs in `runner`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def analyze(self, audio: Audio) -> VoicePrint:
        return cast("VoicePrint", await self._runner.run("analyze", audio))


class RemoteVoiceActivity:
    """`domain.ports.VoiceActivity` for a model whose `listen` runs in `runner`. A call takes milliseconds: a caller who
    leaves waits for its end, as to cancel it ends the child that all others use.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def listen(self, audio: Audio, state: tuple[Samples, ...]) -> Activity:
        return cast("Activity", await finish_before_cancel(self._runner.run("listen", audio, state)))


class RemoteWatermark:
    """`domain.provenance.Watermark` for a model whose `embed` and `detect` run in `runner`."""

    def __init__(self, runner: Runner, name: str, message: str) -> None:
        self._runner = runner
        self.name = name
        self.message = message

    async def embed(self, audio: Audio) -> Audio:
        return cast("Audio", await self._runner.run("embed", audio))

    async def detect(self, audio: Audio) -> WatermarkFinding:
        return cast("WatermarkFinding", await self._runner.run("detect", audio))


class RemoteDecoder:
    """`domain.ports.AudioDecoder` and `domain.provenance.MarkReader` over `services.audio_processing.AudioProcessing`
    in a child process that may be killed.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        return cast("DecodedSpeech", await self._runner.run("decode", data, declared))

    async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        return cast("FileMarks", await self._runner.run("read_marks", data, declared, trust, with_audio))


def assemble(kind: Callable[..., T], *parts: Callable[[], object]) -> T:
    """`kind` of what the parts make. Its functools.partial is a factory that a child loads without loading the rest."""
    return kind(*(part() for part in parts))


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function to call, by its name: who calls it imports it, and not who sends it there."""

    module: str
    name: str

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(self.module), self.name)(*args, **options)
