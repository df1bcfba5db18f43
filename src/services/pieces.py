"""A long recording in pieces that are heard one after another: cut in pauses, so that no word is divided."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from src.domain.audio import Audio
from src.domain.speech import DecodedSpeech

Span = tuple[float, float]

_PAUSE_SECONDS = 0.3
_LEAST_SECONDS = 6.0
"""Of speech in a piece: of less, a language is taken for another."""


@dataclass(frozen=True, slots=True)
class _Length:
    """`least` seconds of speech, or more, and at most `most` seconds in all where there is a pause."""

    least: float
    most: float


_FIRST, _NEXT = _Length(4.0, 12.0), _Length(_LEAST_SECONDS, 28.0)
"""The first is short, to be answered soon; the next are as long as Whisper hears at once, as context helps."""


def pieces(speech: DecodedSpeech) -> tuple[Span, ...]:
    """Spans (begin, end) in seconds, in order, that together are all of the recording. What is short, or has no pause,
    is one piece.
    """
    cuts, stretches = [0.0], list(speech.stretches)
    while (taken := _taken(stretches, cuts[-1], _NEXT if cuts[1:] else _FIRST)) is not None:
        cuts.append((stretches[taken - 1][1] + stretches[taken][0]) / 2)
        stretches = stretches[taken:]
    return tuple(pairwise((*cuts, speech.audio.duration_seconds)))


def part(audio: Audio, span: Span) -> Audio:
    begin, end = (round(seconds * audio.sample_rate) for seconds in span)
    return Audio(audio.samples[begin:end], audio.sample_rate)


def _taken(stretches: Sequence[Span], begin: float, length: _Length) -> int | None:
    """How many stretches the piece at `begin` has: up to its longest pause, or the first where all come too late. None:
    all that are left.
    """
    pauses = {
        index: after[0] - before[1]
        for index, (before, after) in enumerate(pairwise(stretches), 1)
        if after[0] - before[1] >= _PAUSE_SECONDS
        and _seconds(stretches[:index]) >= length.least
        and _seconds(stretches[index:]) >= _LEAST_SECONDS
    }
    soon = {index: pause for index, pause in pauses.items() if stretches[index - 1][1] - begin <= length.most}
    return max(soon, key=lambda index: soon[index]) if soon else min(pauses, default=None)


def _seconds(stretches: Sequence[Span]) -> float:
    return sum(end - begin for begin, end in stretches)
