"""Whisper for the owner of a device: windows of many callers' recordings go through the network together."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from src.domain.errors import VoiceServiceError
from src.domain.speech import Transcript
from src.models.whisper.hearing import Clip, Hearing
from src.models.whisper_model import WhisperModel


def load_whisper(*args: Any, **options: Any) -> "WhisperBatch":
    """Made in the process that owns the device; the arguments are WhisperModel's."""
    return WhisperBatch(WhisperModel(*args, **options))


class WhisperBatch:
    """Implements `domain.ports.BatchEngine` with the method `transcribe(audio, language, quality, hints)`."""

    methods = frozenset({"transcribe"})

    def __init__(self, model: WhisperModel) -> None:
        self._model = model
        self.told = model.told
        self._hearings: deque[Hearing] = deque()

    def begin(self, method: str, args: tuple[Any, ...]) -> Hearing:
        hearing = self._model.begin(Clip(*args))
        self._hearings.append(hearing)
        return hearing

    def step(self) -> Sequence[Hearing]:
        """One batch of windows: what the caller in front needs, and those of the others that fit."""
        self._model.step(self._hearings)
        self._hearings.rotate(-1)
        return [hearing for hearing in self._hearings if hearing.result is not None]

    def result(self, work: Hearing) -> Transcript | None:
        if isinstance(work.result, VoiceServiceError):
            raise work.result
        return work.result

    def drop(self, work: Hearing) -> None:
        self._hearings.remove(work)
