"""Audio outside the models: base64 in, WAV out, what a file is by its first bytes, resampling, and level."""

import io
import re
import wave
from collections.abc import Iterable

import numpy as np
import pybase64
import soxr

from src.domain.audio import Audio, AudioFormat, Samples
from src.domain.errors import AudioTooLarge, AudioUndecodable, FormatMismatch, InvalidBase64, UnsupportedAudioFormat

FRAME_SECONDS = 0.02
CLICK_FRAMES = 4
"""Frames that a click, a tap or one loud sample reaches into."""

PEAK = 10 ** (-3 / 20)
"""-3 dB of full scale."""

_DATA_PREFIX = re.compile(rb"\s*data:[^;,]{0,100}(?:;[^;]{0,100}){0,8};\s*base64\s*,", re.IGNORECASE)
"""A recorder's media type may name several codecs, with commas between them."""
_NOT_BASE64 = "The audio has characters that are not base64. Send the bytes of the file, encoded in base64."
_WHITESPACE = b" \t\r\n\v\f"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")

_ID3_HEADER_BYTES = 10
_SMALLEST_FILE_BYTES = 12
_TEXT_PROBE_BYTES = 512
_MAGIC = (
    (b"fLaC", AudioFormat.FLAC),
    (b"OggS", AudioFormat.OGG),
    (b"\x1aE\xdf\xa3", AudioFormat.WEBM),
    (b"#!AMR", AudioFormat.AMR),
)
_FOREIGN = (
    (b"FORM", "AIFF"),
    (b"caff", "Core Audio"),
    (b"RIFF", "a RIFF file other than WAV"),
    (b"\x30\x26\xb2\x75", "Windows Media"),
    (b"\xff\xf1", "AAC without a container"),
    (b"\xff\xf9", "AAC without a container"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "an archive"),
    (b"\x1f\x8b", "an archive"),
)


def decode_base64(text: str, max_bytes: int) -> bytes:
    """The bytes behind `text`: standard or URL-safe alphabet, padded or not, with or without a `data:` prefix.

    Whitespace is skipped. Raises InvalidBase64 for anything else and for nothing at all, and AudioTooLarge, before
    decoding, when more than `max_bytes` would come out.
    """
    digits = _digits(text)
    unpadded = digits.rstrip(b"=")
    padding = len(digits) - len(unpadded)
    if len(unpadded) * 3 // 4 > max_bytes:
        raise AudioTooLarge(f"The audio is {len(unpadded) * 3 // 4} bytes long; at most {max_bytes} are accepted.")
    if not unpadded:
        raise InvalidBase64("The audio is empty.")
    if len(unpadded) % 4 == 1 or (padding and len(digits) % 4) or padding > 2:
        raise InvalidBase64("The audio is not base64: its length or padding is wrong. It may have been cut off.")
    try:
        return pybase64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        raise InvalidBase64(_NOT_BASE64) from None


def _digits(text: str) -> bytes:
    try:
        digits = text.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidBase64(_NOT_BASE64) from None
    prefix = _DATA_PREFIX.match(digits)
    if prefix is not None:
        digits = digits[prefix.end() :]
    if any(space in digits for space in _WHITESPACE):
        digits = digits.translate(None, _WHITESPACE)
    if b"-" in digits or b"_" in digits:
        digits = digits.translate(_URL_SAFE)
    return digits


def encode_wav(audio: Audio) -> bytes:
    """A WAV file: 16-bit PCM, mono. Samples beyond [-1, 1] are clipped."""
    pcm = np.rint(np.clip(audio.samples, -1, 1) * 32_767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(audio.sample_rate)
        writer.writeframes(pcm.tobytes())
    return file.getvalue()


def resample(audio: Audio, sample_rate: int) -> Audio:
    """The same sound at another rate."""
    if sample_rate == audio.sample_rate:
        return audio
    return Audio(soxr.resample(audio.samples, audio.sample_rate, sample_rate).astype(np.float32), sample_rate)


def beginning(audio: Audio, seconds: float) -> Audio:
    """At most that much of it."""
    return Audio(audio.samples[: int(seconds * audio.sample_rate)], audio.sample_rate)


def join(recordings: Iterable[Audio]) -> Audio:
    """One or more recordings, one after the other, at the sample rate of the first."""
    first, *others = recordings
    samples = [first.samples, *(resample(other, first.sample_rate).samples for other in others)]
    return Audio(np.concatenate(samples), first.sample_rate)


def frame_levels(samples: Samples, sample_rate: int) -> Samples:
    """Root mean square [N] of each 20 ms."""
    length = round(FRAME_SECONDS * sample_rate)
    whole = samples[: len(samples) // length * length].reshape(-1, length)
    return np.sqrt(np.square(whole).mean(axis=1)) if len(whole) else np.zeros(0, np.float32)


def loud_level(samples: Samples, sample_rate: int) -> float:
    """Root mean square of the loud part, in [0, 1]. A click is in too few frames to count."""
    levels = np.sort(frame_levels(samples, sample_rate))[::-1]
    return float(levels[min(CLICK_FRAMES, len(levels) // 10)]) if len(levels) else 0.0


def scaled_to(samples: Samples, level: float, reference: float) -> Samples:
    """Scaled so that `reference` becomes `level`; what is louder than full scale is clipped. Silence stays as it is."""
    if reference <= 0.0:
        return samples
    scaled: Samples = np.clip(samples * np.float32(level / reference), -1, 1)
    return scaled


def levelled(samples: Samples, sample_rate: int) -> Samples:
    """Speech whose peak is at -3 dB of full scale; clicks, louder than all else in a few frames, are clipped."""
    length = round(FRAME_SECONDS * sample_rate)
    whole = samples[: len(samples) // length * length].reshape(-1, length)
    peaks = np.sort(np.abs(whole).max(axis=1))[::-1] if len(whole) else np.abs(samples)
    peak = float(peaks[min(CLICK_FRAMES, len(peaks) // 10)]) if len(peaks) else 0.0
    return scaled_to(samples, PEAK, peak)


def check_format(data: bytes, declared: AudioFormat) -> AudioFormat:
    """What a file is by its first bytes.

    Raises FormatMismatch when another accepted format was declared, UnsupportedAudioFormat when it is something known
    that the service does not read, and AudioUndecodable when it is nothing known.
    """
    found = sniff_format(data)
    if found is not None and declared in (found, AudioFormat.AUTO):
        return found
    if found is not None:
        raise FormatMismatch(f"audio_format says {declared}, but the audio is {found}.")
    foreign = _sniff_foreign(data)
    if foreign is not None:
        accepted = ", ".join(AudioFormat)
        raise UnsupportedAudioFormat(f"The audio is {foreign}. Send one of: {accepted}.")
    expected = "any known format" if declared is AudioFormat.AUTO else f"{declared}, nor like any other known format"
    raise AudioUndecodable(f"The audio does not begin like {expected}.")


def sniff_format(data: bytes) -> AudioFormat | None:
    """The accepted format that `data` begins like, or None."""
    start = data[id3_bytes(data) :][:16]
    if start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE":
        return AudioFormat.WAV
    if start[4:8] == b"ftyp":
        return AudioFormat.M4A
    for magic, found in _MAGIC:
        if start.startswith(magic):
            return found
    return AudioFormat.MP3 if data[:3] == b"ID3" or _is_mp3_frame(start) else None


def id3_bytes(data: bytes) -> int:
    """Length of the ID3v2 tag in front: its size is four bytes of seven bits."""
    if data[:3] != b"ID3" or len(data) < _ID3_HEADER_BYTES:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return _ID3_HEADER_BYTES + size


def _is_mp3_frame(start: bytes) -> bool:
    """MPEG audio layer III: sync of eleven bits, a known version, and a bit rate and sample rate that exist."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version, layer = start[1] >> 3 & 3, start[1] >> 1 & 3
    bit_rate, sample_rate = start[2] >> 4, start[2] >> 2 & 3
    return version != 1 and layer == 1 and 0 < bit_rate < 15 and sample_rate != 3


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
