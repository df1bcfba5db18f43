"""Whether a file ends before its own structure does, or lacks a part: a hint for the caller; no file is refused for it.
And several files one after the other in one, as `cat` makes them, of kinds of which ffmpeg reads the first alone, or
takes the beginnings of the others for damage.
"""

import re
from itertools import islice, pairwise

from src.adapters.decoding.wav_chunks import wav_sound
from src.domain.audio import AudioFormat
from src.utils.audio_formats import MP3_RATES, ends_within_frame

_MISSING_SECONDS = 0.1
"""So much less than promised is no rounding."""
_MP3_MISSING_SECONDS = 0.5
"""Besides what encoders put before and behind the sound."""

_NUMBERED = {
    AudioFormat.M4A: re.compile(rb"moof.{4}mfhd(?P<stream>.{4})(?P<number>.{4})", re.DOTALL),
    AudioFormat.OGG: re.compile(rb"OggS\0.{9}(?P<stream>.{4})(?P<number>.{4})", re.DOTALL),
}
_OGG_PAGE_HEADER = 27
_OGG_LAST_PAGE = 0x04


def was_cut(data: bytes, kind: AudioFormat, seconds: float, max_seconds: float) -> bool:
    """`seconds`: what was decoded. A promise of more than `max_seconds` is made up, as streaming encoders do."""
    if kind is AudioFormat.M4A:
        return _boxes_end_late(data)
    if kind is AudioFormat.CAF:
        return _chunks_end_late(data)
    if kind is AudioFormat.OGG:
        return not _ends_with_last_page(data)
    if kind is AudioFormat.MP3 and ends_within_frame(data):
        return True
    promised = _promised_seconds(data, kind, seconds)
    least = _MP3_MISSING_SECONDS if kind is AudioFormat.MP3 else _MISSING_SECONDS
    return promised is not None and seconds + least < promised <= max_seconds


def lacks_a_part(data: bytes, kind: AudioFormat) -> bool:
    """Whether the parts of a fragmented MP4 or an OGG, which are numbered, leave out a number."""
    pattern = _NUMBERED.get(kind)
    numbers: dict[bytes, list[int]] = {}
    for found in pattern.finditer(data) if pattern else ():
        number = int.from_bytes(found["number"], "little" if kind is AudioFormat.OGG else "big")
        numbers.setdefault(found["stream"], []).append(number)
    return any(later > earlier + 1 for each in numbers.values() for earlier, later in pairwise(each))


def _promised_seconds(data: bytes, kind: AudioFormat, seconds: float) -> float | None:
    if kind is AudioFormat.WAV:
        return _wav_seconds(data, seconds)
    if kind is AudioFormat.FLAC:
        return _flac_seconds(data)
    return _mp3_seconds(data) if kind is AudioFormat.MP3 else None


def _wav_seconds(data: bytes, seconds: float) -> float | None:
    found = wav_sound(data)
    if found is None:
        return None
    there = min(found[1], len(data) - found[0])
    return seconds * found[1] / there if there > 0 else None


def _flac_seconds(data: bytes) -> float | None:
    """From STREAMINFO: 20 bits of sample rate, and 36 of the number of samples."""
    word = int.from_bytes(data[18:26], "big")
    rate, samples = word >> 44, word & (1 << 36) - 1
    return samples / rate if rate and samples else None


_XING_OFFSETS = (36, 21, 13)
"""Bytes from the first frame's start: MPEG-1 stereo; MPEG-1 mono and MPEG-2 stereo; MPEG-2 mono."""


def _mp3_seconds(data: bytes) -> float | None:
    """From the Xing or Info header, which stands at a fixed place of the first frame; None without one."""
    frame = data[:64]
    if len(frame) < 64 or frame[2] >> 2 & 3 == 3 or (version := frame[1] >> 3 & 3) not in MP3_RATES:
        return None
    place = next((at for at in _XING_OFFSETS if frame[at : at + 4] in (b"Xing", b"Info")), None)
    if place is None or not frame[place + 7] & 1:
        return None
    frames = int.from_bytes(frame[place + 8 : place + 12], "big")
    return frames * (1152 if version == 3 else 576) / MP3_RATES[version][frame[2] >> 2 & 3]


def _boxes_end_late(data: bytes) -> bool:
    """Whether a box of the top level is longer than what is left of the file. Size 0: up to the end."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size == 0:
            return False
        if size < 8:
            return False  # damaged, which is another matter
        position += size
    return position > len(data)


_CAF_HEADER, _CAF_CHUNK_HEADER = 8, 12


def _chunks_end_late(data: bytes) -> bool:
    """Whether a chunk of a CAF is longer than what is left of the file. Size -1: up to the end."""
    position = _CAF_HEADER
    while position + _CAF_CHUNK_HEADER <= len(data):
        size = int.from_bytes(data[position + 4 : position + _CAF_CHUNK_HEADER], signed=True)
        if size < 0:
            return False
        position += _CAF_CHUNK_HEADER + size
    return position > len(data)


def _ends_with_last_page(data: bytes) -> bool:
    page = data.rfind(b"OggS")
    header = data[page : page + _OGG_PAGE_HEADER]
    if page < 0 or len(header) < _OGG_PAGE_HEADER:
        return False
    lacing = data[page + _OGG_PAGE_HEADER :][: header[26]]
    whole = page + _OGG_PAGE_HEADER + header[26] + sum(lacing) <= len(data)
    return whole and bool(header[5] & _OGG_LAST_PAGE)


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
