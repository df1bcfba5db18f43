"""Damages audio files and JSON bodies as attackers, networks and broken programs do, the same for the same seed."""

import base64
import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from src.domain.audio import AudioFormat
from tests.recordings import audio_files

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
_MOST_BYTES = 400_000
_SECONDS = 1.3


@dataclass(frozen=True)
class Recording:
    """A file, what it is said to be, and what was done to it."""

    data: bytes
    declared: AudioFormat
    damage: str


@lru_cache
def seeds() -> dict[str, bytes]:
    """A short valid file of each kind, mono and stereo."""
    made = {}
    for kind, (_, _, codec) in audio_files.ENCODERS.items():
        shapes = ((8_000, 1), (16_000, 2)) if codec != "libopencore_amrnb" else ((8_000, 1),)
        for sample_rate, channels in shapes:
            samples = audio_files.seconds_of_speech(_SECONDS, sample_rate)
            made[f"{kind} {channels}"] = audio_files.encode(samples, sample_rate, kind, channels)
    return made


def recordings(count: int, seed: int) -> Iterator[Recording]:
    """So many damaged files; one in nineteen is whole, so that the way to success is tried all the while."""
    rng = random.Random(seed)
    names = sorted(seeds())
    for number in range(count):
        name = rng.choice(names)
        declared = audio_files.ENCODERS[name.split()[0]][0]
        data, damage = seeds()[name], "none"
        if number % 19:
            damage, mutate = rng.choice(_MUTATIONS)
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                data = mutate(data, rng)[:_MOST_BYTES]
            if rng.random() < 0.05:
                declared = rng.choice(list(AudioFormat))
        yield Recording(data, declared, damage)


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64, 512))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    """A stretch of noise, zeros or ones."""
    start = rng.randrange(len(data) + 1)
    length = rng.choice((4, 64, 1024, 16_384))
    kind = rng.randrange(3)
    noise = rng.randbytes(length) if kind == 0 else bytes([0 if kind == 1 else 255]) * length
    return data[:start] + noise + data[start + length :]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    end = rng.choice((rng.randrange(len(data) + 1), rng.randrange(min(200, len(data) + 1))))
    return data[end:] if rng.random() < 0.3 else data[:end]


def _splice(data: bytes, rng: random.Random) -> bytes:
    """Its beginning, and the end of another."""
    other = seeds()[rng.choice(sorted(seeds()))]
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[rng.randrange(len(other)) :]


def _edit_header(data: bytes, rng: random.Random) -> bytes:
    """Numbers that programs stumble over, in the first bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        size = rng.choice((1, 2, 4, 8))
        value = rng.choice(_NUMBERS) & (256**size - 1)
        if len(changed) >= size:
            at = rng.randrange(min(len(changed) - size + 1, 512))
            changed[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))
    return bytes(changed)


def _lie_about_length(data: bytes, rng: random.Random) -> bytes:
    """Sizes, counts, rates and totals where each format keeps them."""
    places = next((places for magic, places in _LENGTHS.items() if magic in data[:64]), None)
    if places is None:
        return _edit_header(data, rng)
    name, offset, layout = rng.choice(places)
    found = data.find(name)
    if found < 0 or found + offset < 0 or found + offset + struct.calcsize(layout) > len(data):
        return _edit_header(data, rng)
    changed = bytearray(data)
    number = rng.choice((*_NUMBERS, rng.randrange(2**32))) & (256 ** struct.calcsize(layout) - 1)
    struct.pack_into(layout, changed, found + offset, number)
    return bytes(changed)


_LENGTHS: dict[bytes, list[tuple[bytes, int, str]]] = {
    b"WAVE": [
        *((b"RIFF", 4, "<I"), (b"data", 4, "<I"), (b"fmt ", 4, "<I"), (b"fmt ", 8, "<H")),  # sizes and format
        *((b"fmt ", 10, "<H"), (b"fmt ", 12, "<I"), (b"fmt ", 16, "<I"), (b"fmt ", 20, "<H"), (b"fmt ", 22, "<H")),
    ],
    b"fLaC": [
        *((b"fLaC", 4, ">I"), (b"fLaC", 8, ">H"), (b"fLaC", 10, ">H"), (b"fLaC", 12, ">I")),  # block and frame sizes
        *((b"fLaC", 18, ">I"), (b"fLaC", 22, ">I"), (b"fLaC", 42, ">I")),  # rate, channels, total; the next block
    ],
    b"ftyp": [
        (name, offset, ">I")
        for name in (b"ftyp", b"moov", b"mdat", b"trak", b"mdhd", b"mvhd", b"stsd", b"stts", b"stsc", b"stsz", b"stco")
        for offset in (-4, 4, 8, 12, 16, 20, 24)
    ],
    b"ID3": [(b"ID3", 3, ">H"), (b"ID3", 6, ">I"), (b"ID3", 14, ">I"), (b"Xing", 4, ">I"), (b"Xing", 8, ">I")],
}
"""By what a format begins with: after which name, at which offset, is a number of which layout."""


def _reorder(data: bytes, rng: random.Random) -> bytes:
    """Chunks or boxes in another order, twice, or gone."""
    head, parts = _chunks(data)
    if len(parts) < 2:
        return _repeat(data, rng)
    act = rng.randrange(3)
    if act == 0:
        rng.shuffle(parts)
    elif act == 1:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    else:
        parts.pop(rng.randrange(len(parts)))
    return head + b"".join(parts)


def _chunks(data: bytes) -> tuple[bytes, list[bytes]]:
    """What comes before the first chunk, and the chunks: of RIFF, of MP4, or else pieces of a kilobyte."""
    if data[:4] == b"RIFF":
        head, order, counted = 12, "<I", 8
    elif data[4:8] == b"ftyp":
        head, order, counted = 0, ">I", 0
    else:
        return data[:42], [data[start : start + 1024] for start in range(42, len(data), 1024)]
    parts, at = [], head
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(order, data, at + (4 if head else 0))
        end = at + max(8, size + counted)
        parts.append(data[at:end])
        at = end
    return data[:head], parts


def _swap_format(data: bytes, rng: random.Random) -> bytes:
    """The first bytes of another format before these."""
    other = seeds()[rng.choice(sorted(seeds()))]
    length = rng.choice((4, 8, 12, 44, 200))
    return other[:length] + data[rng.choice((0, length)) :]


def _append(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return data + rng.randbytes(rng.choice((1, 100, 50_000)))
    if kind == 1:
        return data + seeds()[rng.choice(sorted(seeds()))]
    return data * 2 if kind == 2 else data + bytes(rng.choice((1, 4096, 100_000)))


def _repeat(data: bytes, rng: random.Random) -> bytes:
    """A stretch of it many times."""
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.choice((16, 512, 8192))]
    return data[:start] + piece * rng.choice((2, 10, 40)) + data[start:]


_MUTATIONS: list[tuple[str, Callable[[bytes, random.Random], bytes]]] = [
    ("bits flipped", _flip),
    ("overwritten", _overwrite),
    ("truncated", _truncate),
    ("spliced", _splice),
    ("header edited", _edit_header),
    ("lengths lie", _lie_about_length),
    ("chunks reordered", _reorder),
    ("format swapped", _swap_format),
    ("appended to", _append),
    ("repeated", _repeat),
]


def json_bodies(count: int, seed: int) -> Iterator[bytes]:
    """Damaged bodies of `translate` round a whole recording; one in twenty is whole."""
    rng = random.Random(seed)
    audio = base64.b64encode(seeds()["mulaw 1"]).decode()
    for number in range(count):
        body: dict[str, Any] = {"audio": audio, "target_language": "es", "options": {"quality": "fast"}}
        if not number % 19:
            yield json.dumps(body).encode()
        elif rng.random() < 0.5:
            yield _damaged_text(json.dumps(body).encode(), rng)
        else:
            yield json.dumps(_with_odd_values(body, rng)).encode("utf-8", "surrogatepass")


def _damaged_text(body: bytes, rng: random.Random) -> bytes:
    ways: list[Callable[[], bytes]] = [
        lambda: _flip(body, rng),
        lambda: _truncate(body, rng),
        lambda: _overwrite(body, rng),
        lambda: body + rng.choice((b"\0", b" " * 70_000, b"}", body, b"\xff")),
        lambda: rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"[" * 3000, b'{"a":' * 3000)) + body,
        lambda: body.decode().encode(rng.choice(("utf-16", "utf-32", "utf-16-be"))),
        lambda: body.replace(b'"audio"', rng.choice((b'"\\u0061udio"', b'"audio": "", "audio"', b'"audio\\u0000"'))),
        lambda: body.replace(b"=", b"").replace(b"A", rng.choice((b"\\u0041", b"-", b"\\n", b"_")), 50),
    ]
    return rng.choice(ways)()


_ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, 10**30, "", " ", "\0", "\ud800", "\U0010ffff" * 50, "é" * 3000, [], {}, [[]]),
    *(
        {"a": None},
        "data:audio/wav;base64,",
        "9" * 5000,
        "../../etc/passwd",
        "'; --",
        "%00",
        "ES",
        "x-klingon",
        "zh-Hans",
    ),
)
_FIELDS = (
    *("audio", "audio_format", "target_language", "source_language", "voice_profile_id", "callback_url", "priority"),
    *("options", "quality", "preserve_emotion", "unknown"),
)
_OPTIONS = (
    *("quality", "preserve_emotion", "return_audio_url", "return_base64", "formality", "glossary_id", "context"),
    "unknown",
)


def _with_odd_values(body: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    changed = {**body, "options": dict(body["options"])}
    for _ in range(rng.choice((1, 1, 2, 5))):
        if rng.random() < 0.5 and isinstance(changed["options"], dict):
            changed["options"][rng.choice(_OPTIONS)] = rng.choice(_ODD)
        else:
            changed[rng.choice(_FIELDS)] = rng.choice(_ODD)
    return changed
