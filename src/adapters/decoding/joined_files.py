"""Several files one after the other in one, as `cat` makes them, of kinds of which ffmpeg reads the first alone,
or takes the beginnings of the others for damage.
"""

import re
from itertools import islice, pairwise

from src.adapters.decoding.wav_chunks import wav_sound
from src.domain.audio import AudioFormat

_MOST = 100
"""Files in one, and chunks between them."""

_BEGINS = {
    AudioFormat.FLAC: re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    AudioFormat.WEBM: re.compile(rb"\x1a\x45\xdf\xa3.{1,60}?(?:webm|matroska)", re.DOTALL),
}


def files_in(data: bytes, kind: AudioFormat) -> list[bytes]:
    if kind is AudioFormat.AMR:
        header = data[: data.find(b"\n") + 1]
        return [header + each for each in data.split(header, _MOST)[1:]]
    if kind in _BEGINS:
        starts = [found.start() for found in islice(_BEGINS[kind].finditer(data), _MOST)]
        return _split(data, starts)
    starts = [0]
    while len(starts) < _MOST and (length := _length(data[starts[-1] :], kind)) > 0:
        starts.append(starts[-1] + length)
    return _split(data, starts)


def _split(data: bytes, starts: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise((0, *starts[1:], len(data)))]


def _length(data: bytes, kind: AudioFormat) -> int:
    """Of the first of several files; 0 where there is one alone."""
    if kind is AudioFormat.WAV:
        return _wav_length(data)
    return _mp4_length(data) if kind is AudioFormat.M4A else 0


def _wav_length(data: bytes) -> int:
    sound = wav_sound(data)
    position = len(data) if sound is None else sum(sound) + sound[1] % 2
    for _ in range(_MOST):
        if data[position : position + 4] == b"RIFF" and data[position + 8 : position + 12] == b"WAVE":
            return position
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    return 0


def _mp4_length(data: bytes) -> int:
    position, size = 0, int.from_bytes(data[:4])
    while size >= 8:
        position += size
        if data[position + 4 : position + 8] == b"ftyp":
            return position
        size = int.from_bytes(data[position : position + 4])
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16])
    return 0
