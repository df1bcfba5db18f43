"""Answers are marked, and POST /api/v1/voice/detect reads the marks back: over HTTP, with the real decoder."""

import base64
import io
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import httpx
import numpy as np
import pytest

from src.adapters.provenance.c2pa_signing import MIME_TYPES
from src.adapters.provenance.certificates import load_identity
from src.config.settings import Settings
from src.domain.audio import AudioFormat
from src.utils.audio import encode_wav
from tests.fakes.engines import served, with_real_decoder
from tests.recordings import audio_files
from tests.recordings.marked_files import AT, SPOKEN, issued, marked, mutated, signer
from tests.unit.safeguards.test_provenance_marks import KEYS

OPERATORS = load_identity(*issued(KEYS["p256"][0]))
FORMATS = {"wav": "wav", "mp3": "mp3", "aac": "m4a", "alac": "m4a", "flac": "flac"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detect")


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx.Client]:
    anchors = folder / "anchors.pem"
    anchors.write_text(OPERATORS.anchor)
    settings = Settings(_env_file=None, data_dir=folder / "data", c2pa_trust_anchors_file=anchors)
    with served(settings, with_real_decoder(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def translated(http: httpx.Client) -> dict[str, Any]:
    body = {"audio": _base64(audio_files.voice_message()), "target_language": "es", "source_language": "en"}
    answer = http.post("/api/v1/voice/translate", json=body)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _detect(http: httpx.Client, data: bytes, audio_format: str = "wav") -> httpx.Response:
    return http.post("/api/v1/voice/detect", json={"audio": _base64(data), "audio_format": audio_format})


def _found(http: httpx.Client, data: bytes, audio_format: str = "wav") -> dict[str, Any]:
    answer = _detect(http, data, audio_format)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_answer_lists_its_marks_and_they_are_found_in_what_is_downloaded(
    http: httpx.Client, translated: dict[str, Any]
) -> None:
    info, manifest = translated["provenance"]
    assert (info["kind"], manifest["kind"], manifest["self_signed"]) == ("riff_info", "c2pa", True)
    file = base64.b64decode(translated["audio_base64"])
    assert http.get(translated["audio_url"]).content == file
    found = _found(http, file)
    assert found["synthetic"] is True
    c2pa_found = found["c2pa"]
    assert [c2pa_found[name] for name in ("found", "valid", "trusted", "ours", "changed")] == [True] * 4 + [False]
    assert c2pa_found["manifest"] == manifest["manifest"]
    assert found["riff_info"] == {"found": True, "fields": info["fields"]}
    assert found["watermark"]["checked"] is False
    assert found["duration_seconds"] == pytest.approx(translated["duration_seconds"], abs=0.01)
    job = http.get(f"/api/v1/voice/job/{translated['job_id']}").json()
    assert job["provenance"] == translated["provenance"]


def test_a_clone_is_marked_too(http: httpx.Client) -> None:
    reference = _base64(audio_files.voice_message())
    body = {"text": "Hola.", "target_language": "es", "reference_audio": reference}
    spoken = http.post("/api/v1/voice/clone", json=body).json()
    assert [mark["kind"] for mark in spoken["provenance"]] == ["riff_info", "c2pa"]
    assert _found(http, base64.b64decode(spoken["audio_base64"]))["c2pa"]["ours"] is True


def test_a_manifest_says_nothing_of_who_asked_or_of_what_was_said(translated: dict[str, Any]) -> None:
    file = base64.b64decode(translated["audio_base64"])
    outside = file[file.index(b"LIST") :]
    assert b"voice-translation" in outside
    assert "gninrom" in translated["translated_text"]
    for personal in ("local", translated["job_id"], "morning", "gninrom"):
        assert personal.encode() not in outside


def test_a_change_is_noticed_through_the_service(http: httpx.Client, translated: dict[str, Any]) -> None:
    file = base64.b64decode(translated["audio_base64"])
    for place in (60, len(file) // 2, file.index(b"ICMT") + 10, file.index(b"c2pa.claim") + 3, len(file) - 3):
        changed = bytearray(file)
        changed[place] ^= 1
        found = _found(http, bytes(changed))
        assert (found["synthetic"], found["c2pa"]["changed"], found["c2pa"]["valid"]) == (None, True, False)
        assert "was changed" in found["reason"]


@pytest.mark.parametrize("kind", FORMATS)
def test_encoding_an_answer_again_takes_its_marks_away_and_that_is_said(
    http: httpx.Client, translated: dict[str, Any], kind: str
) -> None:
    file = base64.b64decode(translated["audio_base64"])
    samples = np.frombuffer(file[44:24_044], "<i2").astype(np.float32) / np.float32(32_768)
    found = _found(http, audio_files.encode(samples, 24_000, kind), FORMATS[kind])
    assert (found["c2pa"]["found"], found["riff_info"]["found"], found["synthetic"]) == (False, False, None)
    assert "proves nothing" in found["reason"]


@pytest.mark.parametrize("kind", FORMATS)
def test_manifests_of_known_issuers_count_in_every_format(http: httpx.Client, kind: str) -> None:
    plain, mime = audio_files.encode(SPOKEN.samples, 24_000, kind), MIME_TYPES[AudioFormat(FORMATS[kind])]
    file = io.BytesIO()
    maker = signer(OPERATORS)
    with (
        c2pa.Context.from_dict({"version": 1}, maker._signer()) as context,
        c2pa.Builder(maker._manifest(AT), context) as builder,
    ):
        builder.sign(mime, io.BytesIO(plain), file)
    found = _found(http, file.getvalue(), FORMATS[kind])
    assert [found["c2pa"][name] for name in ("valid", "trusted", "ours", "changed")] == [True, True, False, False]
    assert (found["synthetic"], found["c2pa"]["signer"]) == (True, "Operator")
    changed = bytearray(file.getvalue())
    changed[-len(plain) // 3] ^= 1  # in the sound
    again = _detect(http, bytes(changed), FORMATS[kind])
    assert again.status_code == 422 or again.json()["c2pa"]["changed"] is True


def test_another_deployments_manifest_is_not_proof(http: httpx.Client) -> None:
    found = _found(http, marked().data)
    assert (found["synthetic"], found["c2pa"]["valid"], found["c2pa"]["trusted"]) == (None, True, False)
    assert "not known here" in found["reason"]


def test_mutated_files_never_break_the_service(http: httpx.Client) -> None:
    """RELIABILITY 5, for this endpoint: what is sent is a marked file, damaged in some way."""
    file, dice = marked().data, random.Random(5)
    statuses = [_detect(http, mutated(file, dice)).status_code for _ in range(100)]
    assert set(statuses) <= {200, 415, 422}
    assert statuses.count(200) > 20
    assert _found(http, file)["c2pa"]["valid"] is True


def test_the_same_rules_hold_as_for_other_audio(http: httpx.Client) -> None:
    assert _detect(http, b"<?xml version='1.0'?>" * 10).json()["code"] == "unsupported_audio_format"
    assert _detect(http, audio_files.voice_message("mp3")).json()["code"] == "format_mismatch"
    answer = http.post("/api/v1/voice/detect", json={"audio": "!!!"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_base64")
    used = http.get("/api/v1/usage").json()["days"][0]["requests"]
    _found(http, encode_wav(SPOKEN))
    assert http.get("/api/v1/usage").json()["days"][0]["requests"] == used + 1


def test_health_names_the_marks(http: httpx.Client) -> None:
    health = http.get("/health").json()
    assert health["provenance"] == ["riff_info", "c2pa: self-signed"]
    assert health["degraded"] == []


@pytest.mark.usefixtures("translated")
def test_the_made_certificate_is_for_this_user_only(folder: Path) -> None:
    kept = folder / "data" / "c2pa-self-signed.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    load_identity(kept.read_bytes(), kept.read_bytes(), self_signed=True)
