"""XTTS for the owner of a device: sentences of many callers share the decode loop."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.domain.audio import Audio
from src.domain.errors import VoiceServiceError
from src.domain.speech import VoiceConditioning
from src.models.xtts.utterance import Utterance
from src.models.xtts_model import XttsModel


def load_xtts_batch(*args: Any, **options: Any) -> "XttsBatch":
    """Made in the process that owns the device; the arguments are XttsModel's."""
    return XttsBatch(XttsModel(*args, **options))


@dataclass(eq=False, slots=True)
class Lesson:
    """A voice to be learned from a recording."""

    references: tuple[Any, ...]
    result: VoiceConditioning | VoiceServiceError | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class XttsBatch:
    """Implements `domain.ports.BatchEngine` with the methods of the port VoiceEngine, `condition` and `speak`."""

    methods = frozenset({"condition", "speak"})

    def __init__(self, model: XttsModel) -> None:
        self._model = model
        self.told = model.told
        self._lessons: deque[Lesson] = deque()
        self._utterances: deque[Utterance] = deque()

    def begin(self, method: str, args: tuple[Any, ...]) -> Lesson | Utterance:
        if method == "condition":
            lesson = Lesson(args)
            self._lessons.append(lesson)
            return lesson
        utterance = self._model.begin(*args)
        self._utterances.append(utterance)
        return utterance

    def step(self) -> Sequence[Lesson | Utterance]:
        """One voice learned, one code for every sentence in the loop, and one sentence made sound: the longest of these
        is what a caller may have to wait for another.
        """
        self._learn()
        if not all(utterance.finished for utterance in self._utterances):
            self._model.step()
        for _ in range(len(self._utterances)):
            self._utterances.rotate(-1)
            if self._model.vocode(self._utterances[-1]):
                break
        lessons = [lesson for lesson in self._lessons if lesson.result is not None]
        return [*lessons, *(utterance for utterance in self._utterances if utterance.sounds)]

    def _learn(self) -> None:
        lesson = next((lesson for lesson in self._lessons if lesson.result is None and not lesson.cancelled), None)
        if lesson is not None:
            try:
                lesson.result = self._model.condition(*lesson.references)
            except VoiceServiceError as error:
                lesson.result = error

    def result(self, work: Lesson | Utterance) -> VoiceConditioning | Audio | None:
        if isinstance(work, Utterance):
            return self._model.audio(work)
        if isinstance(work.result, VoiceServiceError):
            raise work.result
        return work.result

    def drop(self, work: Lesson | Utterance) -> None:
        if isinstance(work, Utterance):
            self._utterances.remove(work)
            self._model.drop(work)
        else:
            self._lessons.remove(work)
