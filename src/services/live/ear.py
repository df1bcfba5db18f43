"""Listens to what comes, and says what an utterance is."""

from collections.abc import AsyncIterator, Sequence

import numpy as np

from src.domain.audio import Audio, Samples
from src.domain.ports import VoiceActivity
from src.domain.speech import ACTIVITY_SECONDS
from src.services.live.agreement import Agreement
from src.services.live.endpointing import Endpointer, Frames, frames_of
from src.services.live.events import Utterance
from src.services.live.intake import FRAME, RATE, Intake

_SILENT_SECONDS = 1.0
"""Without any sound: whoever spoke has paused, or sends nothing but speech."""


class Ear:
    def __init__(self, intake: Intake, activity: VoiceActivity) -> None:
        self._intake = intake
        self._activity = activity
        self._endpointer = Endpointer()
        self._state: tuple[Samples, ...] = ()
        self._sound = np.zeros(0, np.float32)  # from the frame `_first` on
        self._first = 0
        self._agreement = Agreement()
        self._begun: int | None = None
        self._ended: int | None = None

    async def utterances(self) -> AsyncIterator[Utterance | None]:
        """Each when it has ended; None: there is a little more of the one that goes on. Until the sound ends."""
        while (samples := await self._intake.take(_SILENT_SECONDS)) is not None:
            if not len(samples):
                ended = [self._endpointer.finish()]
            else:
                ended = await self._listen(samples)
            for frames in filter(None, ended):
                yield self._cut(frames)
                self._ended = frames[1]
            self._forget()
            yield None
        last = self._endpointer.finish()
        if last is not None:
            yield self._cut(last)

    def so_far(self) -> Utterance | None:
        """The utterance that goes on."""
        begun = self._endpointer.begun
        return None if begun is None else self._cut((begun, self._endpointer.frame))

    def clauses(self, ends: Sequence[float]) -> None:
        """At which seconds clauses end in the utterance that goes on."""
        self._endpointer.clauses([frames_of(seconds) for seconds in ends])

    async def _listen(self, samples: Samples) -> list[Frames | None]:
        activity = await self._activity.listen(Audio(samples, RATE), self._state)
        self._state = activity.state
        self._sound = np.concatenate((self._sound, samples))
        levels = np.sqrt(np.mean(np.square(samples.reshape(-1, FRAME)), axis=1))
        return [
            self._endpointer.hear(float(probability), float(level))
            for probability, level in zip(activity.probabilities, levels, strict=True)
        ]

    def _cut(self, frames: Frames) -> Utterance:
        begin, end = frames
        if begin != self._begun:
            self._begun, self._agreement = begin, Agreement(self._agreement if begin == self._ended else None)
        sound = self._sound[(begin - self._first) * FRAME : (end - self._first) * FRAME]
        return Utterance(
            Audio(sound, RATE),
            begin * ACTIVITY_SECONDS,
            end * ACTIVITY_SECONDS,
            self._came_at(begin),
            self._came_at(end),
            self._agreement,
        )

    def _came_at(self, frame: int) -> float:
        """On the intake's clock: sound comes as fast as it is spoken."""
        return self._intake.arrived - (self._endpointer.frame - frame) * ACTIVITY_SECONDS

    def _forget(self) -> None:
        oldest = self._endpointer.oldest
        self._sound = self._sound[max(0, oldest - self._first) * FRAME :]
        self._first = max(self._first, oldest)
