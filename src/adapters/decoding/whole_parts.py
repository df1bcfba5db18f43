"""Files that are rows of small parts: which of them are whole. ffmpeg alone stops at the first that is not, or passes
over much more than that one.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from src.adapters.decoding.ogg_pages import OggPages
from src.domain.audio import AudioFormat
from src.utils.audio_formats import SYNC, mpeg_frame

_ID3V1_BYTES = 128


class Shape(Protocol):
    """How the parts of a format look. `sure`: a damaged part is known by itself, and not by what is behind it."""

    sure: bool
    mended_parts: int
    """Those of `joined` that are damaged within."""
    dropped_bytes: int
    """Of these: what `joined` left out."""

    def end(self, data: bytes, position: int) -> int | None:
        """Behind the part that begins at `position`. None: no whole part does."""

    def begins(self, data: bytes, position: int) -> bool:
        """Whether a part begins there, whole or not."""

    def search(self, data: bytes, position: int) -> int:
        """The first place from `position` on where a part may begin; `len(data)` for none."""

    def joined(self, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
        """A file of these stretches alone."""


def shape_of(data: bytes, kind: AudioFormat) -> Shape | None:
    if kind is AudioFormat.OGG:
        return OggPages(data)
    if kind is AudioFormat.WEBM:
        return _WebmElements()
    if kind is AudioFormat.AMR:
        return _AmrFrames(data)
    if kind in (AudioFormat.AAC, AudioFormat.MP3):
        return _MpegFrames(kind)
    return _Fragments() if kind is AudioFormat.M4A and b"moof" in data else None


class _Joined:
    sure = False
    mended_parts = dropped_bytes = 0

    def joined(self, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
        return b"".join(data[start:end] for start, end in stretches)


class _WebmElements(_Joined):
    """Elements of EBML, those within a segment and its clusters one after the other. Both get an unknown length, as
    live streams have it, so that what is within may change.
    """

    _ENTERED = frozenset((b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"))
    _KNOWN = _ENTERED | {
        *(b"\x1a\x45\xdf\xa3", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
        *(b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\xec", b"\xbf"),
        *(b"\xe7", b"\xa3", b"\xa0", b"\xa7", b"\xab", b"\x58\x54"),  # within clusters
    }
    _LENGTH = rb"(?:[\x81-\xfe]|[\x40-\x7f].|[\x20-\x3f]..)"
    _MAY_BEGIN = re.compile(rb"\x1f\x43\xb6\x75|\xa3" + _LENGTH + rb"[\x81-\x8f]|\xa0" + _LENGTH + rb"\xa1", re.DOTALL)
    """A cluster, a block of one of the first tracks, a group of blocks."""

    def __init__(self) -> None:
        self._lengths: list[tuple[int, int]] = []

    def end(self, data: bytes, position: int) -> int | None:
        size_at = position + self._number_bytes(data, position)
        name, count = data[position:size_at], self._number_bytes(data, size_at)
        if name not in self._KNOWN or not count or size_at + count > len(data):
            return None
        if name in self._ENTERED:
            self._lengths.append((size_at, count))
            return size_at + count
        size = int.from_bytes(data[size_at : size_at + count]) & (1 << 7 * count) - 1
        end = size_at + count + size
        return end if end <= len(data) else None

    def begins(self, data: bytes, position: int) -> bool:
        return data[position : position + self._number_bytes(data, position)] in self._KNOWN

    def search(self, data: bytes, position: int) -> int:
        found = self._MAY_BEGIN.search(data, position)
        return len(data) if found is None else found.start()

    def joined(self, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
        changed = bytearray(data)
        for position, count in self._lengths:
            changed[position : position + count] = ((1 << 7 * count + 1) - 1).to_bytes(count)
        return super().joined(bytes(changed), stretches)

    @staticmethod
    def _number_bytes(data: bytes, position: int) -> int:
        """How many, which is the number of zero bits in front and one; 0 where there is no number."""
        return 9 - data[position].bit_length() if position < len(data) and data[position] else 0


class _AmrFrames(_Joined):
    """Behind the file's header, frames of 20 ms: five bits say how long one is, the others that it is sound."""

    def __init__(self, data: bytes) -> None:
        self._wide = data.startswith(b"#!AMR-WB\n")
        self._header_bytes = 9 if self._wide else 6

    def end(self, data: bytes, position: int) -> int | None:
        length = amr_frame_bytes(data[position], wide=self._wide) if position else self._header_bytes
        return position + length if length and position + length <= len(data) else None

    def begins(self, data: bytes, position: int) -> bool:
        return amr_frame_bytes(data[position], wide=self._wide) > 0

    def search(self, data: bytes, position: int) -> int:
        return position


_AMR_BYTES = {False: (13, 14, 16, 18, 20, 21, 27, 32, 6), True: (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}


def amr_frame_bytes(head: int, *, wide: bool) -> int:
    """By its first byte: padding, four bits for the kind, one for good quality, padding. 0: no frame begins so."""
    kind, lengths = head >> 3, _AMR_BYTES[wide]
    if head & 0x87 != 4 or len(lengths) <= kind < 14:
        return 0
    return lengths[kind] if kind < len(lengths) else 1  # nothing is sent


class _MpegFrames(_Joined):
    """Of MP3, or of AAC without a container; and ID3v1, which is behind them."""

    def __init__(self, kind: AudioFormat) -> None:
        self._kind = kind

    def end(self, data: bytes, position: int) -> int | None:
        end = position + self._length(data, position)
        return end if position < end <= len(data) else None

    def begins(self, data: bytes, position: int) -> bool:
        return self._length(data, position) > 0

    def search(self, data: bytes, position: int) -> int:
        found = SYNC.search(data, position)
        return len(data) if found is None else found.start()

    def _length(self, data: bytes, position: int) -> int:
        frame = mpeg_frame(data, position)
        if frame is None or frame[0] is not self._kind:
            return _ID3V1_BYTES if data.startswith(b"TAG", position) else 0
        return frame[1]


class _Fragments:
    """Boxes of a fragmented MP4; an index and its sound are one part. What is damaged becomes a free box, as fragments
    may say where in the file they are.
    """

    sure = True
    mended_parts = dropped_bytes = 0
    _NAME = re.compile(rb"[ -~\xa9]{4}")

    def end(self, data: bytes, position: int) -> int | None:
        size, header = int.from_bytes(data[position : position + 4]), 8
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16]), 16
        if not self.begins(data, position) or 0 < size < header:
            return None
        end = position + size if size else len(data)
        if end > len(data) or data[position + 4 : position + 8] != b"moof":
            return end if end <= len(data) else None
        return self.end(data, end) if data[end + 4 : end + 8] == b"mdat" else None

    def begins(self, data: bytes, position: int) -> bool:
        return self._NAME.fullmatch(data, position + 4, position + 8) is not None

    def search(self, data: bytes, position: int) -> int:
        found = data.find(b"moof", position + 4)
        return len(data) if found < 0 else found - 4

    def joined(self, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
        pieces, position = [], 0
        for start, end in stretches:
            if start - position >= 8:
                pieces.append((start - position).to_bytes(4) + b"free" + bytes(start - position - 8))
            pieces.append(data[start:end])
            position = end
        return b"".join((*pieces, data[position:]))


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
