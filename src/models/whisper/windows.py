"""Where to cut a recording: windows that Whisper can hear at once, and phrases, each in one language."""

from collections.abc import Sequence
from itertools import pairwise

MAX_SECONDS = 30.0
"""What Whisper's encoder takes."""
_MARGIN_SECONDS = 0.2
"""Kept around speech: detection is late by a frame or two, and soft sounds begin before it."""
_PHRASE_PAUSE_SECONDS, _PHRASE_SECONDS = 0.25, 1.5
"""A phrase ends at such a pause, once it is long enough for its language to be recognised."""

Span = tuple[float, float]
Stretches = Sequence[Span]


def windows(speech: Stretches, begin: float, end: float) -> list[Span]:
    """Windows (begin, end) in seconds, in order and apart, none over 30 s, that hold all stretches of `speech`, which
    lie between `begin` and `end`.

    What lasts 30 s or less is one window, as it is. More is cut in the longest pause of the second half of what a
    window may hold, so that windows are long (context helps) and pauses whole. Speech of over 30 s without a pause is
    cut hard.
    """
    if not speech:
        return []
    if end - begin <= MAX_SECONDS:
        return [(begin, end)]
    found: list[Span] = []
    rest = list(speech)
    while rest:
        taken, rest = _first_window(rest)
        start = max(taken[0][0] - _MARGIN_SECONDS, found[-1][1] if found else begin)
        stop = taken[-1][1] + _MARGIN_SECONDS
        if rest:
            stop = min(stop, (taken[-1][1] + rest[0][0]) / 2)
        found.append((start, min(stop, start + MAX_SECONDS, end)))
    return found


def phrases(speech: Stretches, least: float = _PHRASE_SECONDS) -> list[list[Span]]:
    """Stretches of speech in groups that a speaker says in one go, of `least` seconds or more where there is as much.

    None over 30 s, unless one stretch is.
    """
    found: list[list[Span]] = []
    for stretch in speech:
        last = found[-1] if found else None
        if last is None or (_ends(last, stretch, least) or stretch[1] - last[0][0] > MAX_SECONDS):
            found.append([stretch])
        else:
            last.append(stretch)
    if len(found) > 1 and _length(found[-1]) < least and found[-1][-1][1] - found[-2][0][0] <= MAX_SECONDS:
        found[-2:] = [[*found[-2], *found[-1]]]
    return found


def around(phrase: Stretches, begin: float, end: float) -> Span:
    """A phrase with what is kept around speech, between `begin` and `end`."""
    return max(begin, phrase[0][0] - _MARGIN_SECONDS), min(end, phrase[-1][1] + _MARGIN_SECONDS)


def inside(speech: Stretches, begin: float, end: float) -> list[Span]:
    """The parts of `speech` between `begin` and `end`."""
    cut = ((max(begin, a), min(end, b)) for a, b in speech)
    return [(a, b) for a, b in cut if a < b]


def _ends(phrase: Stretches, following: Span, least: float) -> bool:
    return _length(phrase) >= least and following[0] - phrase[-1][1] >= _PHRASE_PAUSE_SECONDS


def _length(phrase: Stretches) -> float:
    return sum(end - begin for begin, end in phrase)


def _first_window(speech: Stretches) -> tuple[Stretches, list[Span]]:
    """The stretches of the first window, and those that are left."""
    limit = speech[0][0] + MAX_SECONDS - 2 * _MARGIN_SECONDS
    within = [stretch for stretch in speech if stretch[1] <= limit]
    if len(within) == len(speech):
        return speech, []
    if not within:
        begin, end = speech[0]
        return [(begin, limit)], [(limit, end), *speech[1:]]
    middle = speech[0][0] + MAX_SECONDS / 2
    pauses = {
        index: after[0] - before[1]
        for index, (before, after) in enumerate(pairwise(speech[: len(within) + 1]), 1)
        if before[1] >= middle or index == len(within)
    }
    cut = max(pauses, key=lambda index: pauses[index])
    return speech[:cut], list(speech[cut:])
