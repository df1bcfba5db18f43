"""The audio decoder as the services see it; the work is done in a child process that may be killed."""

from collections.abc import Callable
from typing import TypeVar

from src.domain.audio import AudioFormat
from src.domain.ports import Runner
from src.domain.provenance import FileMarks, Trust
from src.domain.speech import DecodedSpeech

T = TypeVar("T")


class RemoteDecoder:
    """Implements `domain.ports.AudioDecoder` over a runner of `services.audio_processing.AudioProcessing`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        speech: DecodedSpeech = await self._runner.run("decode", data, declared)
        return speech

    async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        """As `domain.provenance.MarkReader` has it."""
        marks: FileMarks = await self._runner.run("read_marks", data, declared, trust, with_audio)
        return marks


def assemble(kind: Callable[..., T], *parts: Callable[[], object]) -> T:
    """`kind` of what the parts make. Its functools.partial is a factory that a child loads without loading the rest."""
    return kind(*(part() for part in parts))
