"""Marks in files of anybody's. For the decoder's child process: the bytes are not trusted."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import c2pa
import cbor2

from src.adapters.provenance.c2pa_signing import MIME_TYPES, SETTINGS
from src.adapters.provenance.riff_info import chunks, read_info
from src.domain.audio import AudioFormat
from src.domain.provenance import C2paFinding, InfoFinding, Trust

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
    """Whether `wav` has one manifest, framed and padded as this service does it. What is signed is not looked at.

    The signature covers the claim, the claim covers the assertions, and one of these the file around the manifest. Left
    are the headers of the boxes that all of it lies in (JUMBF, ISO 19566-5) and what pads the signature (COSE, RFC
    9052) to the size that was set aside for it: a third of a manifest. What this service writes there is always the
    same.
    """
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


_TRACES = (b"jumdc2pa", b"c2pa.assertions", b"urn:c2pa:")
"""What a manifest leaves in a file, also when it is too damaged to be found as one."""

_ABOUT_CREDENTIALS = ("signingCredential.", "timeStamp.", "claimSignature.outsideValidity")
"""Failures of these kinds do not mean that anything was changed."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MOST_STATUSES, _MOST_CHARACTERS = 100, 200


class MarkFiles:
    """Implements FileMarkReader."""

    def c2pa(self, data: bytes, declared: AudioFormat, trust: Trust) -> C2paFinding:
        finding, serial = _read(data, declared, trust.own_anchor)
        if finding.trusted and serial == str(trust.own_serial):
            if declared is AudioFormat.WAV and manifest_is_whole(data):
                return replace(finding, ours=True)
            statuses = ("general.error", *finding.statuses)
            return replace(finding, valid=False, trusted=False, changed=True, statuses=statuses)
        if not trust.anchors:
            return replace(finding, trusted=False)
        return _read(data, declared, trust.anchors)[0]

    def info(self, data: bytes, declared: AudioFormat) -> InfoFinding:
        return read_info(data) if declared is AudioFormat.WAV else InfoFinding(found=False, fields={})


def _read(data: bytes, declared: AudioFormat, anchors: str) -> tuple[C2paFinding, str | None]:
    """What the library says, and the number of the certificate."""
    settings = {**SETTINGS, "trust": {"user_anchors": anchors}}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(MIME_TYPES[declared], io.BytesIO(data), context=context) as reader,
        ):
            report = json.loads(reader.json())
        return _finding(report), _signature(report).get("cert_serial_number")
    except (c2pa.C2paError, ValueError, TypeError, AttributeError, LookupError) as error:
        return _unreadable(data, error), None  # the last three: an assertion is not of the shape that it should have


def _unreadable(data: bytes, error: Exception) -> C2paFinding:
    if not any(trace in data for trace in _TRACES):
        return C2paFinding(found=False)
    return C2paFinding(found=True, changed=True, statuses=(f"unreadable.{type(error).__name__.lstrip('_')}",))


def _finding(report: Mapping[str, Any]) -> C2paFinding:
    state, manifest, signature = report.get("validation_state"), _manifest(report), _signature(report)
    failures = tuple(_codes(report, "failure"))
    valid = state in ("Valid", "Trusted")
    created = next((action for action in _actions(manifest) if action.get("action") == "c2pa.created"), {})
    return C2paFinding(
        found=True,
        valid=valid,
        trusted=state == "Trusted",
        changed=not valid and any(not code.startswith(_ABOUT_CREDENTIALS) for code in failures),
        manifest=_words(report.get("active_manifest")),
        signer=_words(signature.get("issuer") or signature.get("common_name")),
        issued_at=_words(signature.get("time") or created.get("when")),
        software=_words(_software(manifest)),
        source_type=_words(created.get("digitalSourceType")),
        statuses=(*failures, *_codes(report, "success"), *_codes(report, "informational"))[:_MOST_STATUSES],
    )


def _manifest(report: Mapping[str, Any]) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = report.get("manifests", {}).get(report.get("active_manifest"), {})
    return manifest


def _signature(report: Mapping[str, Any]) -> Mapping[str, Any]:
    return _manifest(report).get("signature_info") or {}


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            data = assertion.get("data")
            listed = data.get("actions") if isinstance(data, dict) else None
            yield from (action for action in listed or [] if isinstance(action, dict))


def _software(manifest: Mapping[str, Any]) -> str | None:
    told = manifest.get("claim_generator_info") or [{}]
    name, version = told[0].get("name"), told[0].get("version")
    return f"{name} {version}" if name and version else name


def _codes(report: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Of the manifest that counts, and of those that it was made from."""
    results = report.get("validation_results") or {}
    deltas = [delta.get("validationDeltas", {}) for delta in results.get("ingredientDeltas") or []]
    for part in (results.get("activeManifest") or {}, *deltas):
        codes = (str(status.get("code", "")) for status in part.get(kind, []))
        yield from (code for code in codes if _CODE.fullmatch(code))


def _words(value: object) -> str | None:
    """A text of the file's author, shortened, without what would upset a terminal or a log."""
    if not isinstance(value, str):
        return None
    return "".join(letter for letter in value[:_MOST_CHARACTERS] if letter.isprintable())
