"""Where to cut a recording: windows that Whisper can hear at once, and phrases, each in one language."""

from collections.abc import Sequence
from itertools import pairwise

from src.domain.speech import Segment, Word

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


_BESIDE_SECONDS = 0.25
"""Words are timed to about this."""
_LEAST_SECONDS = 0.6
"""Less speech than this between two words is how they are spoken, or their times."""
_WORD_SECONDS, _LETTER_SECONDS, _SIGN_SECONDS = 0.5, 0.12, 0.5
"""The longest that a word takes: a base, and more for each letter; for a digit or an ideograph that of a word."""

_LETTERS_A_SECOND, _SIGN_LETTERS, _THIN_SECONDS = 10.0, 4, 1.5
"""Most people say more letters a second; a digit or an ideograph is said like so many letters."""
_REPEATED_SECONDS = 0.5
"""The shortest that is looked at as something said again."""


def uncovered(speech: Stretches, segments: Sequence[Segment]) -> list[Span]:
    """Stretches of speech of 0.6 s or more in which no word was heard.

    A word covers no more than it can take: what Whisper leaves out shows as one word that lasts until the next.
    """
    left = list(speech)
    for begin, end in _covered(segments):
        left = [piece for a, b in left for piece in ((a, min(b, begin)), (max(a, end), b)) if piece[0] < piece[1]]
    return [(a, b) for a, b in left if b - a >= _LEAST_SECONDS]


def repeated(segment: Segment, speech: Stretches) -> list[list[Span]]:
    """The phrases of a segment that has few letters for the speech that it lies over: several of them may have become
    one, as when somebody says the same twice. Empty for others.
    """
    spoken = inside(speech, segment.start, segment.end)
    seconds = sum(end - begin for begin, end in spoken)
    letters = sum(_SIGN_LETTERS if _long(sign) else 1 for sign in segment.text if sign.isalnum())
    said = phrases(spoken, _REPEATED_SECONDS)
    few = seconds >= _THIN_SECONDS and letters < _LETTERS_A_SECOND * seconds
    return said if few and len(said) > 1 else []


def _covered(segments: Sequence[Segment]) -> list[Span]:
    spans: list[Span] = []
    for segment in segments:
        spans += [_of(word) for word in segment.words] or [(segment.start, segment.end)]
    return spans


def _of(word: Word) -> Span:
    longest = _WORD_SECONDS + sum(_SIGN_SECONDS if _long(sign) else _LETTER_SECONDS for sign in word.text)
    return word.start - _BESIDE_SECONDS, min(word.end, word.start + longest) + _BESIDE_SECONDS


def _long(sign: str) -> bool:
    return sign.isdigit() or "\u3040" <= sign <= "\ud7ff"
