"""Where to cut a long recording: in pauses, so that no word is divided."""

from itertools import pairwise

import numpy as np

from src.domain.audio import Audio, Samples

_FRAME_SECONDS = 0.02
_SHARE_OF_RANGE = 0.3
"""A frame is quiet when its level is within this share of the way from the noise floor to loud speech, in dB."""

_MARGIN_SECONDS = 0.3
_WIDEST_RANGE = 60.0
"""dB. Digital silence is no quieter than this, or breath would count as speech."""

Spans = list[tuple[int, int]]


def utterances(audio: Audio, *, pause_seconds: float, min_seconds: float, max_seconds: float) -> Spans:
    """Spans [start, end) in samples, in order and apart, that hold all that is not quiet, with a margin.

    Cuts are in the middle of pauses of `pause_seconds` or more. No span is cut shorter than `min_seconds` (unless the
    recording is) or stays longer than `max_seconds`: without such a pause the cut is at the quietest place.
    """
    frame = max(1, round(_FRAME_SECONDS * audio.sample_rate))
    levels = frame_levels(audio.samples, frame)
    quiet = quiet_runs(levels)
    pauses = [(first, last) for first, last in quiet if last - first >= pause_seconds / _FRAME_SECONDS]
    shortest, longest = (max(1, int(seconds / _FRAME_SECONDS)) for seconds in (min_seconds, max_seconds))
    cuts, start = [0], 0
    for middle in [*((first + last) // 2 for first, last in pauses), len(levels)]:
        while middle - start > longest:
            start = _quietest(levels, start + max(shortest, longest // 2), min(start + longest, len(levels) - shortest))
            cuts.append(start)
        if middle - start >= shortest and len(levels) - middle >= shortest:
            start = middle
            cuts.append(start)
    spans = [_trimmed(span, quiet) for span in pairwise([*cuts, len(levels)])]
    return [(start * frame, end * frame) for start, end in spans]


def _trimmed(span: tuple[int, int], quiet: Spans) -> tuple[int, int]:
    """A span of frames without the quiet at its ends, but for a margin: silence spoils the mean of the features."""
    start, end = span
    margin = round(_MARGIN_SECONDS / _FRAME_SECONDS)
    for first, last in quiet:
        if first <= start < last:
            start = min(max(start, last - margin), span[1])
        if first < end <= last:
            end = max(min(end, first + margin), start)
    return start, end


def frame_levels(samples: Samples, frame: int) -> Samples:
    """Root mean square of each frame in dB, at least -100: float32 [T // frame]."""
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.mean(np.square(whole, dtype=np.float64), axis=1)
    levels: Samples = (10 * np.log10(np.maximum(power, 1e-10))).astype(np.float32)
    return levels


def quiet_runs(levels: Samples) -> list[tuple[int, int]]:
    """Runs [first, last) of quiet frames."""
    if len(levels) == 0:
        return []
    floor, loud = np.percentile(levels, (5, 95))
    floor = max(floor, loud - _WIDEST_RANGE)
    quiet = levels < floor + _SHARE_OF_RANGE * (loud - floor)
    changes = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(np.int8), [0]))))
    return [(int(first), int(last)) for first, last in changes.reshape(-1, 2)]


def _quietest(levels: Samples, first: int, last: int) -> int:
    """The middle of the quietest fifth of a second between two frames."""
    width = round(0.2 / _FRAME_SECONDS)
    if last - first <= width:
        return (first + last) // 2
    smooth = np.convolve(levels[first:last], np.ones(width), mode="valid")
    return first + int(np.argmin(smooth)) + width // 2
