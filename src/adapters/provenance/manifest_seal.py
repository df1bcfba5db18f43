"""The parts of a C2PA manifest that its own signature does not cover.

The signature covers the claim, the claim covers the assertions, and one of these the file around the manifest. Left are
the headers of the boxes that all of it lies in (JUMBF, ISO 19566-5) and what pads the signature (COSE, RFC 9052) to the
size that was set aside for it: a third of a manifest. What this service writes there is always the same, so that a
change is seen here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import cbor2

from src.adapters.provenance.riff_info import chunks

_STORE, _MANIFEST = b"c2pa", b"c2ma"
_PARTS = {b"c2as": b"c2pa.assertions", b"c2cl": b"c2pa.claim.v2", b"c2cs": b"c2pa.signature"}
_TYPE_REST = bytes.fromhex("00110010800000aa00389b71")
_LABELLED, _LABELLED_AND_SALTED = 0x03, 0x13
_URN = re.compile(rb"urn:c2pa:[0-9a-f-]{36}")
_PADDING = frozenset({"pad", "pad2"})
_STAMPS = frozenset({"sigTst", "sigTst2", "rVals"})


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
    try:
        signed = cbor2.loads(data)
        if cbor2.dumps(signed) != data:  # a key twice, a length not in its shortest form, something behind the end
            raise Broken
    except (cbor2.CBORError, ValueError, TypeError):
        raise Broken from None
    match signed:
        case cbor2.CBORTag(tag=18, value=[bytes(), Mapping() as unprotected, None, bytes()]):
            if not all(key in _STAMPS or (key in _PADDING and _is_zeros(value)) for key, value in unprotected.items()):
                raise Broken
        case _:
            raise Broken


def _is_zeros(value: object) -> bool:
    return isinstance(value, bytes) and not value.strip(b"\0")
