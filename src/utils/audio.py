"""Audio outside the models: base64 in, WAV out, resampling, and level."""

import io
import json
import re
import wave
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import numpy as np
import pybase64
import soxr

from src.domain.audio import Audio, Samples
from src.domain.errors import AudioTooLarge, InvalidBase64
from src.utils.audio_formats import sniff_format

FRAME_SECONDS = 0.02
CLICK_FRAMES = 4
"""Frames that a click, a tap or one loud sample reaches into."""

PEAK = 10 ** (-3 / 20)
"""-3 dB of full scale."""

_FULL_SCALE = 32_767
"""Of 16 bits."""

_DATA_PREFIX = re.compile(rb"\s*data:[^;,]{0,100}(?:;[^;]{0,100}){0,8};\s*base64\s*,", re.IGNORECASE)
"""A recorder's media type may name several codecs, with commas between them."""
_PYTHON_BYTES = re.compile(r"\s*b'([^']*)'\s*")
_PERCENT_ENCODED = {b"%2B": b"+", b"%2F": b"/", b"%3D": b"=", b"%0D": b"", b"%0A": b""}
_PREFIX_BYTES = 200
_LINES_PROBE_BYTES = 100_000
_NOT_BASE64 = (
    "The audio has characters that are not base64. Send the bytes of the file, encoded in base64 and nothing else: as "
    "`base64 -w0 message.m4a` writes them."
)
_HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_HEX_PROBE = 40_000
_WHITESPACE = b" \t\r\n\v\f"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decode_base64(text: str, max_bytes: int) -> bytes:
    """The bytes behind `text`: standard or URL-safe alphabet, padded or not, with or without a `data:` prefix.

    Whitespace is skipped. What clients do to base64 by mistake, and can be told for certain, is undone: a second pair
    of quotes, percent-encoding, blanks in place of `+`. Raises InvalidBase64 for anything else and for nothing at all,
    and AudioTooLarge, before decoding, when more than `max_bytes` would come out.
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
    if _HEXADECIMAL.fullmatch(unpadded) and sniff_format(bytes.fromhex(unpadded[:_HEX_PROBE].decode())) is not None:
        raise InvalidBase64("The audio is in hexadecimal. Send the bytes of the file in base64 instead.")
    try:
        return pybase64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        raise InvalidBase64(_NOT_BASE64) from None


def _digits(text: str) -> bytes:
    try:
        digits = _unquoted(text).encode("ascii")
    except ValueError:
        raise InvalidBase64(_NOT_BASE64) from None
    if b"%" in digits:
        digits = unquote_to_bytes(digits[:_PREFIX_BYTES]) + digits[_PREFIX_BYTES:]
        for code, meant in _PERCENT_ENCODED.items():
            digits = digits.replace(code, meant).replace(code.lower(), meant)
    prefix = _DATA_PREFIX.match(digits)
    if prefix is not None:
        digits = digits[prefix.end() :]
    digits = digits.strip(_WHITESPACE)
    if b" " in digits[:_LINES_PROBE_BYTES] and _pluses_were_lost(digits):
        digits = digits.replace(b" ", b"+")
    if any(space in digits for space in _WHITESPACE):
        digits = digits.translate(None, _WHITESPACE)
    if b"-" in digits or b"_" in digits:
        digits = digits.translate(_URL_SAFE)
    return digits


def _unquoted(text: str) -> str:
    """Without a second pair of quotes: JSON encoded twice, or bytes as Python shows them. Raises ValueError."""
    bare = text.strip() if text[:1] in '"b \t\r\n' else text
    if bare[:1] == '"':
        return str(json.loads(bare, strict=False))
    shown = _PYTHON_BYTES.fullmatch(bare)
    return text if shown is None else shown[1]


def _pluses_were_lost(digits: bytes) -> bool:
    """Whether blanks stand where `+` stood, as forms write it: no `+` is left, and there are no lines of one length."""
    if any(mark in digits for mark in (b"+", b"-", b"\n")):
        return False
    first, *others = (len(line) for line in digits[:_LINES_PROBE_BYTES].split(b" "))
    return others[-1] > first or any(length != first for length in others[:-1])


def encode_wav(audio: Audio) -> bytes:
    """A WAV file: 16-bit PCM, mono. Samples beyond [-1, 1] are clipped."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(audio.sample_rate)
        writer.writeframes(encode_pcm(audio.samples))
    return file.getvalue()


def encode_pcm(samples: Samples) -> bytes:
    """16 bits, little-endian. Samples beyond [-1, 1] are clipped."""
    return np.rint(np.clip(samples, -1, 1) * _FULL_SCALE).astype("<i2").tobytes()


def decode_pcm(pcm: bytes) -> Samples:
    """As `encode_pcm` wrote it, in [-1, 1]; the lowest value is beyond it by a little."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def pcm_of_wav(wav: bytes) -> tuple[bytes, int]:
    """The 16-bit samples that `encode_wav` wrote, whatever chunks were added since, and their rate."""
    with wave.open(io.BytesIO(wav)) as reader:
        return reader.readframes(reader.getnframes()), reader.getframerate()


def samples_of_wav(wav: bytes) -> Audio:
    """As `pcm_of_wav`, in [-1, 1]."""
    pcm, rate = pcm_of_wav(wav)
    return Audio(decode_pcm(pcm), rate)


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
