"""The values that cross to an engine and back, as bytes: no pickle, so that bytes from elsewhere can do no harm.

    b"vt1\\n", the header's length (4 bytes, big-endian), the header (JSON), the blobs

The header holds None, booleans, numbers and text as themselves. What JSON does not have is an object of one entry:
{"tuple": [...]}, {"enum": [name, value]}, {"bytes": length}, {"samples": length} or {name of a dataclass: {field:
value}}. Bytes, and samples as little-endian float32, lie in the blobs, in the order in which the header names them.
"""

import dataclasses
import json
import struct
from typing import Any, NoReturn

import numpy as np

from src.domain.audio import Audio, SpokenAudio
from src.domain.speech import Hints, Quality, Segment, SpeechRequest, Transcript, VoiceConditioning, Word

_MAGIC = b"vt1\n"
_LENGTH = struct.Struct(">I")
_SAMPLE = np.dtype("<f4")
_BLOBS = {"bytes": 1, "samples": _SAMPLE.itemsize}
"""Bytes for each one that the header counts."""
_RECORDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Audio, SpokenAudio, Hints, Transcript, Segment, Word, VoiceConditioning, SpeechRequest)
}
_ENUMS = {kind.__name__: kind for kind in (Quality,)}


class CodecError(Exception):
    """A value that may not cross, or bytes that `encode` did not make. Its text holds no value."""


def encode(value: object) -> bytes:
    """Raises CodecError for a type that is not named here, and for numbers that are none."""
    blobs: list[bytes] = []
    try:
        header = json.dumps(_told(value, blobs), allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise CodecError("a number that is none, or a value nested too deep") from None
    return b"".join((_MAGIC, _LENGTH.pack(len(header)), header, *blobs))


def decode(data: bytes) -> Any:
    """What was encoded. Raises CodecError."""
    start = len(_MAGIC) + _LENGTH.size
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise CodecError("not an encoded value")
    end = start + _LENGTH.unpack_from(data, len(_MAGIC))[0]
    if len(data) < end:
        raise CodecError("cut")
    try:
        header = json.loads(data[start:end], parse_constant=_refuse)
        reader = _Reader(memoryview(data)[end:])
        value = reader.value(header)
    except CodecError:
        raise
    except (ValueError, TypeError, RecursionError):  # ValueError also for what is neither UTF-8 nor JSON
        raise CodecError("damaged") from None
    reader.require_end()
    return value


def _told(value: object, blobs: list[bytes]) -> object:
    """As the header has it."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float | np.floating):
        return float(value)
    if type(value) is tuple:
        return {"tuple": [_told(each, blobs) for each in value]}
    if isinstance(value, bytes | np.ndarray):
        return _told_blob(value, blobs)
    return _told_named(value, blobs)


def _told_named(value: object, blobs: list[bytes]) -> object:
    name = type(value).__name__
    if _ENUMS.get(name) is type(value):
        return {"enum": [name, value.value]}
    if _RECORDS.get(name) is not type(value):
        raise CodecError(f"a {name} may not cross")
    fields = dataclasses.fields(value)  # type: ignore[arg-type] # a dataclass
    return {name: {field.name: _told(getattr(value, field.name), blobs) for field in fields}}


def _told_blob(value: "bytes | np.ndarray[Any, Any]", blobs: list[bytes]) -> object:
    if isinstance(value, bytes):
        blobs.append(value)
        return {"bytes": len(value)}
    if value.dtype != np.float32 or value.ndim != 1:
        raise CodecError("an array that is not a line of float32 may not cross")
    blobs.append(value.astype(_SAMPLE, copy=False).tobytes())
    return {"samples": len(value)}


class _Reader:
    """Takes the blobs off, one by one."""

    def __init__(self, blobs: memoryview) -> None:
        self._blobs = blobs

    def require_end(self) -> None:
        if len(self._blobs):
            raise CodecError("more bytes than the header names")

    def value(self, told: object) -> Any:
        if not isinstance(told, dict | list):
            return told
        if not isinstance(told, dict) or len(told) != 1:
            _refuse()
        ((tag, content),) = told.items()
        if tag == "tuple" and isinstance(content, list):
            return tuple(self.value(each) for each in content)
        if tag in _BLOBS:
            return self._blob(tag, content)
        if tag == "enum" and isinstance(content, list) and len(content) == 2 and content[0] in _ENUMS:
            return _ENUMS[content[0]](content[1])
        if tag in _RECORDS and isinstance(content, dict):
            return _RECORDS[tag](**{name: self.value(each) for name, each in content.items()})
        return _refuse()

    def _blob(self, tag: str, count: object) -> Any:
        size = _BLOBS[tag]
        if type(count) is not int or count < 0 or count * size > len(self._blobs):
            _refuse()
        taken, self._blobs = self._blobs[: count * size], self._blobs[count * size :]
        # samples are copied: engines get arrays that they may write to
        return bytes(taken) if tag == "bytes" else np.frombuffer(taken, _SAMPLE).astype(np.float32)


def _refuse(_: object = None) -> NoReturn:
    raise CodecError("damaged")
