"""The INFO list of a WAV file: words that any player or editor shows.

RIFF: chunks of four letters, a size of 32 bits and so many bytes, each begun at an even position. The list is the last
chunk, so that a program which expects the samples after 44 bytes finds them there.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from src.domain.provenance import InfoFinding

DECLARATION = "Synthetic speech: made by AI, not a recording of a person speaking."
"""What the comment field says; how the service knows its own words again."""

_HEADER_BYTES = 12
_SHOWN = ("ISFT", "ICMT", "ICRD", "IGNR", "IKEY")
_MOST_CHARACTERS = 200
_MOST_CHUNKS = 1000


class Chunk(NamedTuple):
    name: bytes
    start: int
    """Of its content."""
    end: int


def info_fields(software: str, day: str) -> dict[str, str]:
    """What this service writes. `day`: ISO 8601."""
    return {
        "ISFT": software,
        "ICRD": day,
        "IGNR": "Synthetic speech",
        "IKEY": "synthetic speech; AI-generated; voice cloning",
        "ICMT": DECLARATION,
    }


def with_info(wav: bytes, fields: Mapping[str, str]) -> bytes:
    """The file with an INFO list at its end. `wav` ends with a whole chunk, as `utils.audio.encode_wav` writes it."""
    content = b"INFO" + b"".join(_chunk(name.encode(), text.encode() + b"\0") for name, text in fields.items())
    padded = wav + b"\0" * (len(wav) % 2)
    whole = padded + _chunk(b"LIST", content)
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def read_info(data: bytes) -> InfoFinding:
    """The fields of `data`, a WAV file of anybody's, that this service writes, too. No error, whatever it holds."""
    fields: dict[str, str] = {}
    for chunk in chunks(data, _HEADER_BYTES, len(data)):
        if chunk.name == b"LIST" and data[chunk.start : chunk.start + 4] == b"INFO":
            for field in chunks(data, chunk.start + 4, chunk.end):
                name = field.name.decode("latin-1")
                if name in _SHOWN:
                    fields.setdefault(name, _text(data[field.start : field.end]))
    return InfoFinding(fields.get("ICMT") == DECLARATION, fields)


def chunks(data: bytes, start: int, end: int) -> Iterator[Chunk]:
    """The first thousand chunks between two positions; one that claims more than there is ends where that does."""
    for _ in range(_MOST_CHUNKS):
        if start + 8 > end:
            return
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        yield Chunk(data[start : start + 4], start + 8, min(start + 8 + size, end))
        start += 8 + size + size % 2


def _text(raw: bytes) -> str:
    words = raw[: 4 * _MOST_CHARACTERS].split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in words)[:_MOST_CHARACTERS].strip()
