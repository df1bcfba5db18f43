"""Against babble: how long a text may take to say, and how to see that the network no longer says it.

The codes of speech change all the time; a held sound, a loop or dead air shows as codes that come again. How many codes
a text takes is known within bounds: what is far below swallowed words, what goes on after a pause beyond the slowest
speech was not in the text. The bounds are wide on purpose: a false alarm costs a second attempt, which is then compared
with the first. They come from rates of speech and from counting codes; they were not tuned on the published weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

MAX_CODES_PER_TOKEN = 12
"""0.56 s for a text token, which is one letter or more: several times what slow speech takes."""
SPARE_CODES = 32

_TYPICAL_CODES_PER_TOKEN = 4
_SLOW_CODES_PER_TOKEN = 6
_FAST_CODES_PER_TOKEN = 0.5
"""25 letters in a second, twice what anybody says, take 0.86 codes for each; a token is a letter or more."""

_REPEATED = 40
"""Codes, 1.9 s: as much of exactly the same again, or of so few different ones, is no speech."""
_FEW = 6
_LONGEST_LOOP = 130
"""Codes, 6 s: the longest phrase that is looked for a second time."""
_PAUSE = 11
"""Codes, 0.5 s."""
_FEW_IN_PAUSE = 3
_WORD = 9
"""Codes, 0.4 s: after a pause less than this is breath."""
_RELEASE = 6
"""Codes, 0.3 s, that are kept of a sound that was held or of a pause: speech is not cut off sharply."""


class Fault(IntEnum):
    """What is wrong with a sentence, from least to worst."""

    NONE = 0
    TRAILS = 1
    """It goes on after a pause when the text must be over."""
    SWALLOWS = 2
    """It is too short for its text."""
    REPEATS = 3
    """A sound is held, or a phrase comes again and again."""
    NO_END = 4
    """It was cut off instead of ending by itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`keep`: how many of the codes are worth hearing. `excess`: how far their number is from what the text takes."""

    fault: Fault
    keep: int
    excess: float

    @property
    def rank(self) -> tuple[int, float]:
        """Of two attempts the one of lower rank is better."""
        return (self.fault, self.excess)


def max_codes(text_tokens: int, most: int) -> int:
    """Codes after which a text of that many tokens is cut off, at most `most`."""
    return min(most, SPARE_CODES + MAX_CODES_PER_TOKEN * text_tokens)


def judge(codes: Sequence[int], text_tokens: int, stop_code: int) -> Verdict:
    """Look at the codes of a sentence of that many text tokens; a stop code at their end means that it ended itself."""
    ended = bool(codes) and codes[-1] == stop_code
    said = np.asarray(codes[:-1] if ended else codes, dtype=np.int64)
    repeats, trails = _repetition(said), _trailing(said, _SLOW_CODES_PER_TOKEN * text_tokens)
    if not ended:
        fault = Fault.NO_END
    elif repeats is not None:
        fault = Fault.REPEATS
    elif len(said) < _FAST_CODES_PER_TOKEN * text_tokens:
        fault = Fault.SWALLOWS
    elif trails is not None:
        fault = Fault.TRAILS
    else:
        fault = Fault.NONE
    keep = min([len(codes), *(end for end in (repeats, trails) if end is not None)])
    return Verdict(fault, keep, abs(keep - _TYPICAL_CODES_PER_TOKEN * text_tokens))


def _repetition(codes: NDArray[np.int64]) -> int | None:
    """Where to stop before a sound is held, or a phrase comes a second time; None: neither happens."""
    ends = [start + _RELEASE for start in _monotonous(codes, _REPEATED, _FEW)[:1]]
    for lag in range(2, min(_LONGEST_LOOP, len(codes) - _REPEATED) + 1):
        same = codes[lag:] == codes[:-lag]
        if same.sum() >= _REPEATED:
            ends += [start + lag for start in _runs(same, _REPEATED)[:1]]
    return min(ends, default=None)


def _trailing(codes: NDArray[np.int64], slow: int) -> int | None:
    """Where to stop in the first pause that begins after `slow` codes and has a word after it; None: there is none."""
    silent = np.zeros(len(codes), dtype=np.bool_)
    for start in _monotonous(codes, _PAUSE, _FEW_IN_PAUSE):
        silent[start : start + _PAUSE] = True
    late = [start for start in _runs(silent, _PAUSE) if start >= slow]
    if not late or (~silent[late[0] :]).sum() < _WORD:
        return None
    return late[0] + _RELEASE


def _monotonous(codes: NDArray[np.int64], width: int, few: int) -> list[int]:
    """Starts of all windows of `width` codes with at most `few` different ones."""
    if len(codes) < width:
        return []
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(codes, width), axis=1)
    different = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    return [int(start) for start in np.flatnonzero(different <= few)]


def _runs(flags: NDArray[np.bool_], length: int) -> list[int]:
    """Starts of runs of at least `length` true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    return [int(start) for start in starts[ends - starts >= length]]
