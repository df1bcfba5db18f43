"""Marks in files of anybody's. For the decoder's child process: the bytes are not trusted."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import c2pa

from src.adapters.provenance.c2pa_signing import MIME_TYPES, SETTINGS
from src.adapters.provenance.manifest_seal import manifest_is_whole
from src.adapters.provenance.riff_info import read_info
from src.domain.audio import AudioFormat
from src.domain.provenance import C2paFinding, InfoFinding, Trust

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
