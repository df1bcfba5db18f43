"""Files that are rows of small parts: which of them are whole. ffmpeg alone stops at the first that is not, or passes
over much more than that one.
"""

from dataclasses import dataclass

from src.adapters.decoding.part_shapes import Shape, shape_of
from src.domain.audio import AudioFormat

_MOST_STEPS = 200_000
"""Parts, and places where one may begin: a file of 300 s has fewer."""

_PADDING_BYTES = 4096
"""More zeros at the end were to be sound."""
_ZEROS_OF_A_FRAME = 64

_CONFIRMED_BY = 4
"""Parts in a row, where one alone may be chance."""


@dataclass(frozen=True, slots=True)
class WholeParts:
    """A file without its damaged parts. `broken`: some were between whole ones, or what is left is damaged within.
    `cut`: the last one is not whole, or zeros stand in its place.
    """

    data: bytes
    whole_bytes: int
    left_out_bytes: int = 0
    broken: bool = False
    cut: bool = False


def whole_parts(data: bytes, kind: AudioFormat) -> WholeParts:
    if kind is AudioFormat.FLAC:
        return _without_filling(data)
    shape = shape_of(data, kind)
    stretches = _walk(data, shape) if shape is not None else [(0, len(data))]
    if shape is None or not any(end > start for start, end in stretches):
        return WholeParts(data, len(data))
    joined = shape.joined(data, stretches)
    tail = stretches[-1][1]
    filled, begun = not any(data[tail:]), tail < len(data) and shape.begins(data, tail)
    between = tail - sum(end - start for start, end in stretches)
    whole_bytes = sum(end - start for start, end in stretches) - shape.dropped_bytes
    return WholeParts(
        joined,
        whole_bytes,
        left_out_bytes=between + shape.dropped_bytes + (0 if filled or begun else len(data) - tail),
        broken=shape.mended_parts > 0 or len([end for start, end in stretches if end > start]) > 1,
        cut=begun or (filled and len(data) - tail > _PADDING_BYTES),
    )


def _without_filling(data: bytes) -> WholeParts:
    """Without zeros at the end, but for those that a last frame may have."""
    bare = data.rstrip(b"\0") + bytes(_ZEROS_OF_A_FRAME)
    return WholeParts(data[: len(bare)], len(bare), cut=len(data) - len(bare) > _PADDING_BYTES)


def _walk(data: bytes, shape: Shape) -> list[tuple[int, int]]:
    """Stretches of whole parts: begin and end."""
    stretches: list[tuple[int, int]] = []
    start = position = 0
    whole = True
    for _ in range(_MOST_STEPS):
        if position >= len(data):
            break
        end = shape.end(data, position)
        if whole and end is not None and (shape.sure or end == len(data) or shape.begins(data, end)):
            position = end
        elif whole:
            stretches.append((start, position))
            whole, position = False, shape.search(data, position + 1)
        elif end is not None and _goes_on(data, end, shape):
            whole, start = True, position
        else:
            position = shape.search(data, position + 1)
    if whole:
        return [*stretches, (start, len(data))]
    start, end = stretches.pop()  # the last part of all is whole, whatever is behind it
    return [*stretches, (start, shape.end(data, end) or end)]


def _goes_on(data: bytes, position: int, shape: Shape) -> bool:
    for _ in range(_CONFIRMED_BY - 1):
        if position == len(data):
            return shape.sure
        end = shape.end(data, position)
        if end is None:
            return False
        position = end
    return True
