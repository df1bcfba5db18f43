"""Bad input over HTTP, with real bytes and the real decoder: a clear error each time, and the service goes on
translating.
"""

import base64
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.config.settings import Settings
from src.domain.audio import Samples
from tests.fakes.engines import served, with_real_decoder
from tests.recordings import audio_files


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("bad") / "data")
    with served(settings, with_real_decoder(settings)) as client:
        yield client


@pytest.fixture
def still_translates(http: httpx.Client) -> Iterator[None]:
    """After whatever a test sent, the next caller is served."""
    yield
    answer = _translate(http, audio_files.voice_message())
    assert answer.status_code == 200, answer.text


def _translate(http: httpx.Client, audio: bytes, audio_format: str = "wav") -> httpx.Response:
    body: dict[str, Any] = {
        "audio": base64.b64encode(audio).decode(),
        "audio_format": audio_format,
        "target_language": "es",
        "source_language": "en",
        "options": {"return_base64": False},
    }
    return http.post("/api/v1/voice/translate", json=body)


def _wav(samples: Samples, sample_rate: int = 16_000) -> bytes:
    return audio_files.raw_wav(audio_files.pcm16(samples), sample_rate)


BAD: dict[str, tuple[Callable[[], bytes], str, set[tuple[int, str]]]] = {
    "half a second": (lambda: _wav(audio_files.seconds_of_speech(0.5)), "wav", {(422, "audio_too_short")}),
    "301 seconds": (lambda: _wav(audio_files.seconds_of_speech(301, 8000), 8000), "wav", {(422, "audio_too_long")}),
    "silence": (lambda: _wav(audio_files.silence(3)), "wav", {(422, "no_speech_detected")}),
    "noise": (lambda: _wav(audio_files.white_noise(3)), "wav", {(422, "no_speech_detected")}),
    "music": (lambda: _wav(audio_files.music(4)), "wav", {(422, "no_speech_detected")}),
    "a truncated wav header": (lambda: audio_files.voice_message()[:30], "wav", {(422, "audio_undecodable")}),
    "a truncated m4a": (lambda: audio_files.voice_message("aac")[:2000], "m4a", {(422, "audio_undecodable")}),
    "random bytes": (
        lambda: os.urandom(20_000),
        "wav",
        {(415, "unsupported_audio_format"), (422, "audio_undecodable"), (415, "format_mismatch")},
    ),
    "random bytes in a wav header": (
        lambda: b"RIFF\xff\xff\xff\xffWAVE" + os.urandom(20_000),
        "wav",
        {(422, "audio_undecodable")},
    ),
    "mp3 said to be wav": (lambda: audio_files.voice_message("mp3"), "wav", {(415, "format_mismatch")}),
    "wav said to be flac": (lambda: audio_files.voice_message("wav"), "flac", {(415, "format_mismatch")}),
    "aiff": (audio_files.aiff, "mp3", {(415, "unsupported_audio_format")}),
    "mp3 in an mp4": (
        audio_files.m4a_with_ac3_inside,
        "m4a",
        {(415, "unsupported_audio_format"), (422, "audio_undecodable")},
    ),
    "a rate of 1 Hz": (
        lambda: audio_files.raw_wav(audio_files.pcm16(audio_files.speech()), 1),
        "wav",
        {(415, "unsupported_audio_format"), (422, "audio_undecodable")},
    ),
    "a flac bomb": (audio_files.flac_bomb, "flac", {(422, "audio_too_long")}),
}


@pytest.mark.usefixtures("still_translates")
@pytest.mark.parametrize("name", BAD)
def test_bad_audio_is_refused_with_its_code(http: httpx.Client, name: str) -> None:
    make, audio_format, allowed = BAD[name]
    audio = make()
    response = _translate(http, audio, audio_format)
    assert (response.status_code, response.json().get("code")) in allowed, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("still_translates")
def test_texts_that_media_libraries_obey_are_refused(http: httpx.Client) -> None:
    for name, text in audio_files.playlists().items():
        response = _translate(http, text, "wav")
        assert (response.status_code, response.json()["code"]) == (415, "unsupported_audio_format"), name


@pytest.mark.usefixtures("still_translates")
def test_a_header_that_lies_about_its_length_is_not_believed(http: httpx.Client) -> None:
    flac = audio_files.encode(audio_files.seconds_of_speech(301, 8000), 8000, "flac")
    response = _translate(http, audio_files.with_flac_seconds(flac, 1.0), "flac")
    assert (response.status_code, response.json()["code"]) == (422, "audio_too_long")


def test_an_asynchronous_job_fails_with_the_same_code(http: httpx.Client) -> None:
    body = {"audio": base64.b64encode(_wav(audio_files.silence(3))).decode(), "target_language": "es"}
    accepted = http.post("/api/v1/voice/translate", json=body, headers={"Prefer": "respond-async, wait=0"})
    assert accepted.status_code == 202
    deadline = time.monotonic() + 60
    while (job := http.get(accepted.headers["location"]).json())["status"] != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert job["error"]["code"] == "no_speech_detected"


@pytest.mark.usefixtures("still_translates")
def test_51_mb_are_refused_by_their_length(http: httpx.Client) -> None:
    response = _translate(http, bytes(51_000_001))
    assert (response.status_code, response.json()["code"]) == (413, "audio_too_large")


@pytest.mark.usefixtures("still_translates")
def test_a_body_far_beyond_the_limit_is_refused_before_it_is_read(http: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 800_000_000:
            sent += 1_000_000
            yield b"x" * 1_000_000

    headers = {"Content-Type": "application/json"}
    try:
        response = http.post("/api/v1/voice/translate", content=endless(), headers=headers)
    except httpx.WriteError:
        response = None
    assert sent < 500_000_000  # what a body may have is read, twice that is dropped so that the answer arrives
    assert response is None or response.status_code == 413


def test_what_is_not_base64(http: httpx.Client) -> None:
    for audio in ("%%%", "AAA=AAA", "\u00e4\u00f6", "data:audio/wav;base64,"):
        response = http.post("/api/v1/voice/translate", json={"audio": audio, "target_language": "es"})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_base64"), audio


@pytest.mark.parametrize("kind", audio_files.ENCODERS)
def test_every_format_is_taken(http: httpx.Client, kind: str) -> None:
    audio = audio_files.voice_message(kind, 8_000)
    assert _translate(http, audio, audio_files.ENCODERS[kind][0]).status_code == 200


@pytest.mark.parametrize("given", [[82, 73, 70, 70], {"0": 82}, {"type": "Buffer", "data": [82]}, 82, None])
def test_bytes_that_are_no_text_are_told_what_to_send_instead(http: httpx.Client, given: object) -> None:
    for path, field in (("translate", "audio"), ("transcribe", "audio"), ("profile", "reference_audio")):
        body = {field: given, "target_language": "es"}
        response = http.post(f"/api/v1/voice/{path}", json=body)
        assert (response.status_code, response.json()["code"]) == (422, "validation_error")
        assert response.json()["detail"].startswith(f"{field}: send the bytes of the file as one text in base64")


def test_base64_may_be_url_safe_unpadded_and_prefixed(http: httpx.Client) -> None:
    encoded = base64.urlsafe_b64encode(audio_files.voice_message()).decode().rstrip("=")
    body = {"audio": f"data:audio/wav;base64,{encoded}", "target_language": "es"}
    assert http.post("/api/v1/voice/translate", json=body).status_code == 200


def test_the_same_rules_hold_for_transcribe_clone_and_profile(http: httpx.Client, tmp_path: Path) -> None:
    silent = base64.b64encode(_wav(audio_files.silence(3))).decode()
    consent = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
    for path, body in (
        ("transcribe", {"audio": silent}),
        ("clone", {"reference_audio": silent, "text": "Hola.", "target_language": "es"}),
        ("profile", {"reference_audio": silent, "consent": consent}),
    ):
        response = http.post(f"/api/v1/voice/{path}", json=body)
        assert (response.status_code, response.json()["code"]) == (422, "no_speech_detected"), path


@pytest.mark.parametrize(
    ("kind", "declared"),
    [("aac", "audio/x-m4a"), ("aac", "MP4"), ("opus", "audio/ogg; codecs=opus"), ("webm", "webm"), ("mp3", "auto")],
)
def test_what_phones_and_browsers_send_is_taken(kind: str, declared: str, http: httpx.Client) -> None:
    answer = _translate(http, audio_files.voice_message(kind, 48_000), declared)
    assert answer.status_code == 200, answer.text
    assert answer.json()["degraded"] == []


def test_what_of_a_profiles_recordings_was_not_used_is_said_also_to_who_asks_again(http: httpx.Client) -> None:
    whole = audio_files.encode(audio_files.seconds_of_speech(20), 16_000, "flac")
    noise = audio_files.white_noise(10, level=0.3)
    beside = audio_files.stereo_wav(audio_files.seconds_of_speech(10), noise)
    flac, wav = (base64.b64encode(data).decode() for data in (whole[: len(whole) // 2], beside))
    body = {"reference_audio": flac, "additional_references": [wav], "audio_format": "auto"}
    answers = [http.post("/api/v1/voice/profile", json=body, headers={"Idempotency-Key": "cut"}) for _ in range(2)]
    cut, channel, consent = answers[0].json()["degraded"]
    assert "cut off" in cut
    assert channel.startswith("additional_references[0]: Only the left channel")
    assert "consent" in consent
    assert answers[1].json() == answers[0].json()
    stored = http.get(f"/api/v1/voice/profile/{answers[0].json()['profile_id']}").json()
    assert stored["degraded"] == [consent]


@pytest.mark.parametrize("named", [None, "", "application/octet-stream", ".m4a", "voice.m4a", "aac", "audio/mp4"])
def test_a_format_that_is_not_named_is_found_out(http: httpx.Client, named: str | None) -> None:
    audio = base64.b64encode(audio_files.voice_message("aac")).decode()
    for language in ("auto", "und", "", " Auto ", None):
        body = {"audio": audio, "audio_format": named, "source_language": language}
        answer = http.post("/api/v1/voice/transcribe", json=body)
        assert answer.status_code == 200, answer.text


def test_what_was_cut_off_is_said_in_the_answer(http: httpx.Client) -> None:
    whole = audio_files.encode(audio_files.seconds_of_speech(8), 16_000, "flac")
    answer = _translate(http, whole[: len(whole) // 2], "flac")
    assert answer.status_code == 200, answer.text
    assert any("cut off" in note for note in answer.json()["degraded"])
