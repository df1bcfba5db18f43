"""The parts of a C2PA manifest that its own signature does not cover.

The signature covers the claim, the claim covers the assertions, and one of these the file around the manifest. Left are
the headers of the boxes that all of it lies in (JUMBF, ISO 19566-5) and what pads the signature (COSE, RFC 9052) to the
size that was set aside for it: a third of a manifest. What this service writes there is always the same, so that a
change is seen here.
"""

import re
from dataclasses import dataclass

from src.adapters.provenance.riff_info import chunks

_STORE, _MANIFEST = b"c2pa", b"c2ma"
_PARTS = {b"c2as": b"c2pa.assertions", b"c2cl": b"c2pa.claim.v2", b"c2cs": b"c2pa.signature"}
_TYPE_REST = bytes.fromhex("00110010800000aa00389b71")
_LABELLED, _LABELLED_AND_SALTED = 0x03, 0x13
_URN = re.compile(rb"urn:c2pa:[0-9a-f-]{36}")
_PADDING = frozenset({b"pad", b"pad2"})
_STAMPS = frozenset({b"sigTst", b"sigTst2", b"rVals"})


class Broken(Exception):
    """It is not as this service writes it."""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    content: bytes


def manifest_is_whole(wav: bytes) -> bool:
    """Whether `wav` has one manifest, framed and padded as this service does it. What is signed is not looked at."""
    stores = [chunk for chunk in chunks(wav, 12, len(wav)) if chunk.name == b"C2PA"]
    if len(stores) != 1:
        return False
    try:
        _check_store(wav[stores[0].start : stores[0].end])
    except (Broken, IndexError, RecursionError):
        return False
    return True


def _check_store(data: bytes) -> None:
    (store,) = _only(_boxes(data), 1)
    (manifest,) = _only(_superbox(store, _STORE, b"c2pa"), 1)
    parts = _only(_superbox(manifest, _MANIFEST, None), 3)
    for part, (kind, label) in zip(parts, _PARTS.items(), strict=True):
        inside = _superbox(part, kind, label)
        if kind == b"c2as":
            for assertion in inside:
                _superbox(assertion, b"cbor", None)
        else:
            (content,) = _only(inside, 1)
            if kind == b"c2cs":
                _check_signature(content.content)


def _only(boxes: list[_Box], count: int) -> list[_Box]:
    if len(boxes) != count:
        raise Broken
    return boxes


def _boxes(data: bytes) -> list[_Box]:
    """Boxes that fill `data` to its end."""
    found, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8 or position + size > len(data):
            raise Broken
        found.append(_Box(data[position + 4 : position + 8], data[position + 8 : position + size]))
        position += size
    return found


def _superbox(box: _Box, kind: bytes, label: bytes | None) -> list[_Box]:
    """What it holds behind its description. `label` None: a URN of C2PA, or of an assertion, which the claim names."""
    if box.kind != b"jumb":
        raise Broken
    description, *inside = _boxes(box.content)
    head, toggles, rest = description.content[:16], description.content[16], description.content[17:]
    called, end, salt = rest.partition(b"\0")
    salted = [each.kind for each in _boxes(salt)]
    well_labelled = _URN.fullmatch(called) if kind == _MANIFEST else label is None or called == label
    if (
        description.kind != b"jumd"
        or head != kind + _TYPE_REST
        or not end
        or not well_labelled
        or (toggles, salted) not in ((_LABELLED, []), (_LABELLED_AND_SALTED, [b"c2sh"]))
    ):
        raise Broken
    return inside


def _check_signature(data: bytes) -> None:
    """COSE_Sign1: a protected header, an unprotected one, no payload, the signature; only zeros may pad it."""
    reader = _Cbor(data)
    reader.expect(6, 18)
    reader.expect(4, 4)
    reader.text(2)
    for _ in range(reader.head(5)):
        key = reader.text(3)
        if key in _PADDING:
            if reader.text(2).strip(b"\0"):
                raise Broken
        elif key in _STAMPS:
            reader.skip()
        else:
            raise Broken
    reader.expect(7, 22)
    reader.text(2)
    if reader.position != len(data):
        raise Broken


class _Cbor:
    """As much of RFC 8949 as a signature needs: definite lengths only."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def head(self, kind: int) -> int:
        found, value = self._head()
        if found != kind:
            raise Broken
        return value

    def expect(self, kind: int, value: int) -> None:
        if self.head(kind) != value:
            raise Broken

    def text(self, kind: int) -> bytes:
        """A string, of bytes (2) or letters (3)."""
        return self._take(self.head(kind))

    def skip(self) -> None:
        """Whatever comes next."""
        kind, value = self._head()
        if kind in (2, 3):
            self._take(value)
        for _ in range({4: value, 5: 2 * value, 6: 1}.get(kind, 0)):
            self.skip()

    def _head(self) -> tuple[int, int]:
        first = self._take(1)[0]
        kind, short = first >> 5, first & 31
        if short < 24:
            return kind, short
        if short > 27:
            raise Broken
        return kind, int.from_bytes(self._take(1 << (short - 24)), "big")

    def _take(self, count: int) -> bytes:
        if self.position + count > len(self._data):
            raise Broken
        self.position += count
        return self._data[self.position - count : self.position]
