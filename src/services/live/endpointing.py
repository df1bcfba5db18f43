"""Where utterances begin and end: at a pause, and at the latest six seconds after they began.

The longer an utterance is, the shorter a pause is enough. Speech without one is cut behind a clause, where it is known
where clauses end, else at its quietest place; what follows the cut begins the next utterance.
"""

from collections.abc import Sequence

import numpy as np

from src.domain.speech import ACTIVITY_SECONDS

Frames = tuple[int, int]
"""First 32 ms of an utterance, and the first that is not in it any more; counted from the start of the sound."""


def frames_of(seconds: float) -> int:
    return round(seconds / ACTIVITY_SECONDS)


LONGEST = frames_of(6.0)
_SPEECH, _SILENCE = 0.5, 0.35
"""Probabilities at which speech begins, and below which it ends."""
_BEGINNING = 3
"""Frames of speech in a row that an utterance begins with."""
_WORD = 4
"""Frames of speech that an utterance has, or it was a click."""
_MARGIN = frames_of(0.25)
"""Kept before and after speech, where there is so much."""
_PAUSES = ((frames_of(3.0), frames_of(0.6)), (frames_of(4.5), frames_of(0.35)), (LONGEST, frames_of(0.16)))
"""Up to a length of speech: how long a pause ends it."""
_EARLIEST_CUT = frames_of(2.0)
_NEAR, _SMOOTH = 5, 3
"""Frames around the end of a clause that are searched for the quietest; frames whose mean level counts."""


class Endpointer:
    """Is told of one frame after the other."""

    def __init__(self) -> None:
        self.frame = 0  # the one that is heard next
        self.begun: int | None = None  # where the utterance that goes on began
        self._kept = 0  # no utterance begins before it: the end of the last one
        self._voiced = 0  # frames of speech, in the utterance or towards one
        self._quiet_since: int | None = None
        self._levels: list[float] = []  # of every frame since `begun`
        self._clauses: list[int] = []

    @property
    def oldest(self) -> int:
        """The first frame that an utterance may still need."""
        return max(self._kept, self.frame - _MARGIN - _BEGINNING) if self.begun is None else self.begun

    def clauses(self, frames: Sequence[int]) -> None:
        """Behind which frames a clause ends, as far as that is known."""
        self._clauses = list(frames)

    def hear(self, probability: float, level: float) -> Frames | None:
        """One frame: the probability of speech in it, and its level. The utterance that ends with it, if one does."""
        frame, self.frame = self.frame, self.frame + 1
        if self.begun is None:
            self._wait(frame, probability)
            return None
        self._levels.append(level)
        if probability >= _SPEECH:
            self._voiced, self._quiet_since = self._voiced + 1, None
        elif probability < _SILENCE and self._quiet_since is None:
            self._quiet_since = frame
        if self._pauses():
            return self._end()
        return self._cut() if self.frame - self.begun >= LONGEST else None

    def finish(self) -> Frames | None:
        """Nothing follows, at least for a while: the utterance that goes on, if there is one."""
        return None if self.begun is None else self._end()

    def _wait(self, frame: int, probability: float) -> None:
        self._voiced = self._voiced + 1 if probability >= _SPEECH else 0
        if self._voiced == _BEGINNING:
            self.begun = max(self._kept, frame + 1 - _BEGINNING - _MARGIN)
            self._levels = [0.0] * (self.frame - self.begun)

    def _pauses(self) -> bool:
        if self.begun is None or self._quiet_since is None:
            return False
        spoken = self._quiet_since - self.begun
        enough = next((pause for length, pause in _PAUSES if spoken < length), _PAUSES[-1][1])
        return self.frame - self._quiet_since >= enough

    def _end(self) -> Frames | None:
        assert self.begun is not None  # noqa: S101 - who calls has seen to it
        end = self.frame if self._quiet_since is None else min(self.frame, self._quiet_since + _MARGIN)
        ended = (self.begun, end) if self._voiced >= _WORD else None
        self.begun, self._kept, self._voiced, self._quiet_since, self._clauses = None, end, 0, None, []
        return ended

    def _cut(self) -> Frames:
        assert self.begun is not None  # noqa: S101 - as above
        begun, cut = self.begun, self._best_cut(self.begun)
        self._levels = self._levels[cut - begun :]
        self.begun, self._kept, self._voiced, self._clauses = cut, cut, self.frame - cut, []
        if self._quiet_since is not None:
            self._quiet_since = max(self._quiet_since, cut)
        return begun, cut

    def _best_cut(self, begun: int) -> int:
        clauses = [clause for clause in self._clauses if begun + _EARLIEST_CUT <= clause < self.frame - _NEAR]
        first, last = begun + LONGEST // 2, self.frame
        if clauses:
            first, last = clauses[-1] - _NEAR, clauses[-1] + _NEAR
        levels = np.asarray(self._levels[first - begun : last - begun])
        smooth = np.convolve(levels, np.ones(_SMOOTH), mode="valid")
        return first + _SMOOTH // 2 + int(np.argmin(smooth))
