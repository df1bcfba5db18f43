"""Where to cut a recording into windows that Whisper can hear at once: in pauses, so that no word is divided."""

from collections.abc import Sequence
from itertools import pairwise

MAX_SECONDS = 30.0
"""What Whisper's encoder takes."""
_MARGIN_SECONDS = 0.2
"""Kept around speech: detection is late by a frame or two, and soft sounds begin before it."""

Stretches = Sequence[tuple[float, float]]


def windows(speech: Stretches, duration: float) -> list[tuple[float, float]]:
    """Windows (begin, end) in seconds, in order and apart, none over 30 s, that hold all stretches of `speech`.

    A recording of 30 s or less is one window, as it is. A longer one is cut in the longest pause of the second half of
    what a window may hold, so that windows are long (context helps) and pauses whole. Speech of over 30 s without a
    pause is cut hard.
    """
    if not speech:
        return []
    if duration <= MAX_SECONDS:
        return [(0.0, duration)]
    found: list[tuple[float, float]] = []
    rest = list(speech)
    while rest:
        taken, rest = _first_window(rest)
        begin = max(taken[0][0] - _MARGIN_SECONDS, found[-1][1] if found else 0.0)
        end = taken[-1][1] + _MARGIN_SECONDS
        if rest:
            end = min(end, (taken[-1][1] + rest[0][0]) / 2)
        found.append((begin, min(end, begin + MAX_SECONDS, duration)))
    return found


def _first_window(speech: Stretches) -> tuple[Stretches, list[tuple[float, float]]]:
    """The stretches of the first window, and those that are left."""
    limit = speech[0][0] + MAX_SECONDS - 2 * _MARGIN_SECONDS
    inside = [stretch for stretch in speech if stretch[1] <= limit]
    if len(inside) == len(speech):
        return speech, []
    if not inside:
        begin, end = speech[0]
        return [(begin, limit)], [(limit, end), *speech[1:]]
    middle = speech[0][0] + MAX_SECONDS / 2
    pauses = {
        index: after[0] - before[1]
        for index, (before, after) in enumerate(pairwise(speech[: len(inside) + 1]), 1)
        if before[1] >= middle or index == len(inside)
    }
    cut = max(pauses, key=lambda index: pauses[index])
    return speech[:cut], list(speech[cut:])
