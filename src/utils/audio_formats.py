"""What an audio file is by its first bytes."""

import re

from src.domain.audio import AudioFormat
from src.domain.errors import AudioUndecodable, FormatMismatch, UnsupportedAudioFormat

_ID3_HEADER_BYTES, _APE_HEADER_BYTES = 10, 32
_TAG = re.compile(rb"ID3[\x02-\x04]\x00|APETAGEX[\xd0\xe8]")
_SMALLEST_FILE_BYTES = 12
_TEXT_PROBE_BYTES = 512
_FRAMES_PROBE_BYTES = 16_384
"""More than the longest frame: a file that begins in one has the next within."""
_FRAMES_IN_A_ROW = 4
SYNC = re.compile(rb"\xff[\xe0-\xff]")
_MAGIC = (
    (b"fLaC", AudioFormat.FLAC),
    (b"OggS", AudioFormat.OGG),
    (b"\x1aE\xdf\xa3", AudioFormat.WEBM),
    (b"#!AMR", AudioFormat.AMR),
    (b"caff", AudioFormat.CAF),
)
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
"""Of which one is the first of an MP4; those of old cameras and telephones begin without `ftyp`."""
_FOREIGN = (
    (b"FORM", "AIFF"),
    (b"RIFF", "a RIFF file other than WAV"),
    (b"\x30\x26\xb2\x75", "Windows Media"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "an archive"),
    (b"\x1f\x8b", "an archive"),
)
_ALIKE = frozenset({AudioFormat.M4A, AudioFormat.AAC})
"""Whoever says one may mean the other."""

_KILOBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of layer III, of MPEG-1 and of the others."""
MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz, by the version's two bits."""


def check_format(data: bytes, declared: AudioFormat) -> AudioFormat:
    """What a file is by its first bytes.

    Raises FormatMismatch when another accepted format was declared, UnsupportedAudioFormat when it is something known
    that the service does not read, and AudioUndecodable when it is nothing known.
    """
    found = sniff_format(data)
    if found is not None and (declared in (found, AudioFormat.AUTO) or {found, declared} == _ALIKE):
        return found
    if found is not None:
        raise FormatMismatch(f"audio_format says {declared}, but the audio is {found}.")
    foreign = _sniff_foreign(data)
    if foreign is not None:
        accepted = ", ".join(AudioFormat)
        raise UnsupportedAudioFormat(f"The audio is {foreign}. Send one of: {accepted}.")
    expected = "any known format" if declared is AudioFormat.AUTO else f"{declared}, nor like any other known format"
    raise AudioUndecodable(
        f"The audio does not begin like {expected}. Bare samples do not say what they are: send them in a WAV file."
    )


def sniff_format(data: bytes) -> AudioFormat | None:
    """The accepted format that `data` begins like, or None."""
    bare = unwrapped(data)
    start = bare[:16]
    if start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE":
        return AudioFormat.WAV
    if start[4:8] in _BOXES:
        return AudioFormat.M4A
    for magic, found in _MAGIC:
        if start.startswith(magic):
            return found
    framed = None if _sniff_foreign(bare) else _sniff_frames(bare)
    return AudioFormat.MP3 if framed is None and data[:3] == b"ID3" else framed


def unwrapped(data: bytes) -> bytes:
    """Without the ID3v2 tags and zero bytes in front that any format may stand behind."""
    position = 0
    while data.startswith(b"ID3", position):
        position = _tag_end(data, position)
    data = data[position:]
    return data if data[:1] != b"\0" or data[4:8] in _BOXES else data.lstrip(b"\0")


def without_tags(data: bytes) -> bytes:
    """Frames without the tags behind them, and those between them where files were joined."""
    pieces, position = [], 0
    for tag in _TAG.finditer(data):
        if tag.start() >= position:
            pieces.append(data[position : tag.start()])
            position = _tag_end(data, tag.start())
    return b"".join((*pieces, data[position:]))


def mpeg_frame(data: bytes, position: int) -> tuple[AudioFormat, int] | None:
    """MP3 or AAC, and the length in bytes of the frame that begins there: MPEG audio layer III, or ADTS. None: no frame
    does.
    """
    head = data[position : position + 6]
    if len(head) < 6 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return (AudioFormat.AAC, length) if length > 7 and head[2] >> 2 & 15 < 13 else None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or version == 1 or layer != 1 or not 0 < bit_rate < 15 or sample_rate == 3:
        return None
    kilobits, rate = _KILOBITS[version == 3][bit_rate], MP3_RATES[version][sample_rate]
    return AudioFormat.MP3, (144_000 if version == 3 else 72_000) * kilobits // rate + (head[2] >> 1 & 1)


def ends_within_frame(data: bytes) -> bool:
    """Whether the last of the MP3 or AAC frames at the end of a file is longer than what is left of it."""
    tail = data[-_FRAMES_PROBE_BYTES:]
    place = next((sync.start() for sync in SYNC.finditer(tail) if _frames_in_a_row(tail, sync.start())), len(tail))
    while (frame := mpeg_frame(tail, place)) is not None:
        place += frame[1]
    return place > len(tail)


def _sniff_frames(data: bytes) -> AudioFormat | None:
    """Whether it begins with a frame, or within one, as what was cut out of a stream does."""
    if (first := mpeg_frame(data, 0)) is not None:
        return first[0]
    for sync in SYNC.finditer(data, 0, _FRAMES_PROBE_BYTES):
        if (found := _frames_in_a_row(data, sync.start())) is not None:
            return found
    return None


def _frames_in_a_row(data: bytes, position: int) -> AudioFormat | None:
    found = None
    for _ in range(_FRAMES_IN_A_ROW):
        frame = mpeg_frame(data, position)
        if frame is None or found not in (None, frame[0]):
            return None
        found, position = frame[0], position + frame[1]
    return found


def _tag_end(data: bytes, position: int) -> int:
    """Behind the tag that begins there. One that says it is longer than the file is as long as its header."""
    if data.startswith(b"ID3", position):
        end = position + _ID3_HEADER_BYTES
        size = 0
        for byte in data[position + 6 : end]:  # of seven bits each
            size = size << 7 | byte & 0x7F
    else:
        end = position + _APE_HEADER_BYTES
        size = int.from_bytes(data[position + 12 : position + 16], "little")
    return end + size if end + size <= len(data) else end


def _sniff_foreign(data: bytes) -> str | None:
    if len(data) < _SMALLEST_FILE_BYTES:
        return None
    for magic, name in _FOREIGN:
        if data.startswith(magic):
            return name
    return "text" if _is_text(data[:_TEXT_PROBE_BYTES]) else None


def _is_text(start: bytes) -> bool:
    """Whether it reads as UTF-8 without control characters: SDP, playlists, HTML, JSON."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else a character is cut by the probe's end
            return False
        text = start[: error.start].decode("utf-8")
    return bool(text) and all(character.isprintable() or character in "\r\n\t\ufeff" for character in text)
