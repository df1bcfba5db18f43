"""The contract over HTTP, on fake engines: fields, headers, states and who sees what. Everything else is the real
service.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from src.domain.errors import TranslationUnavailable
from src.domain.speech import Hints, Quality
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber, FakeTranslator, FakeVoice
from tests.support.messages import AUDIO, MESSAGE, PROFILE

ENVELOPE = "application/vnd.voice.envelope+json"


class Service:
    """A running service whose engines the test can reach."""

    def __init__(
        self, http: httpx.Client, transcriber: FakeTranscriber, translator: FakeTranslator, voice: FakeVoice
    ) -> None:
        self.http = http
        self.transcriber, self.translator, self.voice = transcriber, translator, voice

    def translate(self, headers: dict[str, str] | None = None, **changes: object) -> httpx.Response:
        return self.http.post("/api/v1/voice/translate", json=MESSAGE | changes, headers=headers)

    def reset(self) -> None:
        """Engines as they were, and words that no cache has."""
        for fake in (self.transcriber, self.translator, self.voice):
            vars(fake).update(vars(type(fake)()))
        self.transcriber.sentences = ("good morning", f"train {uuid4().hex} is late")

    def job_when_ended(self, path: str) -> dict[str, Any]:
        for _ in range(3000):
            job: dict[str, Any] = self.http.get(path).json()
            if job["status"] in ("completed", "failed"):
                return job
            time.sleep(0.02)
        raise AssertionError("the job did not end")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    transcriber, translator, voice = FakeTranscriber(), FakeTranslator(), FakeVoice()
    engines = fake_engines(transcriber=transcriber, translators=(translator,), voice=voice)
    with serve(tmp_path_factory.mktemp("contract"), engines, sync_timeout_seconds=2.0, job_queue_size=4) as http:
        yield Service(http, transcriber, translator, voice)


@pytest.fixture
def service(running: Service) -> Service:
    running.reset()
    return running


def _problem(response: httpx.Response, status: int, code: str, said: str = "") -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "code", "request_id", "retryable"}
    assert problem["status"] == status
    assert said in problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def test_a_completed_translation_has_every_field_of_the_contract(service: Service) -> None:
    response = service.translate()
    answer = response.json()
    assert response.status_code == 200, answer
    for name in [
        "job_id",
        "status",
        "original_text",
        "translated_text",
        "source_language",
        "target_language",
        "audio_base64",
        "audio_url",
        "duration_seconds",
        "voice_similarity",
        "processing_time_ms",
        "timestamps",
        "segments",
        "confidence",
        "engines",
        "degraded",
        "voice_match",
    ]:
        assert answer[name] is not None, name
    assert answer["status"] == "completed"
    whole = (answer["processing_time_ms"], *answer["timestamps"].values())
    assert all(type(milliseconds) is int for milliseconds in whole), "a Swift client decodes them as Int"
    assert set(answer["timestamps"]) == {
        "preprocessing_ms",
        "transcription_ms",
        "translation_ms",
        "voice_cloning_ms",
        "postprocessing_ms",
    }
    assert set(answer["segments"][0]) == {"start", "end", "language", "text", "translated_text"}
    assert set(answer["engines"]) == {"transcription", "translation", "voice"}
    assert answer["degraded"] == []
    assert 0 <= answer["voice_similarity"] <= 1


def test_the_audio_is_the_same_in_the_body_and_at_its_address(service: Service) -> None:
    answer = service.translate().json()
    wav = base64.b64decode(answer["audio_base64"], validate=True)
    assert wav[:4] == b"RIFF"
    download = service.http.get(answer["audio_url"])
    assert (download.content, download.headers["content-type"]) == (wav, "audio/wav")
    part = service.http.get(answer["audio_url"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, wav[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(wav)}"
    last = service.http.get(answer["audio_url"], headers={"Range": "bytes=-3"})
    assert last.content == wav[-3:]
    beyond = service.http.get(answer["audio_url"], headers={"Range": f"bytes={len(wav)}-"})
    assert beyond.status_code == 416


@pytest.mark.parametrize("way", ["lines of 76, escaped", "slashes"])
def test_50_mb_of_audio_pass_as_clients_write_base64(service: Service, way: str) -> None:
    """Sent whole before the answer is read. Quiet samples make most of their base64 slashes."""
    audio = base64.b64encode(b"\xff\xff\xfe" * (50_000_000 // 3) if way == "slashes" else b"\xfb" * 50_000_000)
    if "lines" in way:
        between = rb"\u000D\u000A"
        audio = between.join(audio[start : start + 76] for start in range(0, len(audio), 76)) + between
    body = b'{"source_language": "en", "target_language": "es", "audio": "%s"}' % audio.replace(b"/", rb"\/")
    with closing(HTTPConnection(service.http.base_url.netloc.decode(), timeout=60)) as connection:
        connection.request("POST", "/api/v1/voice/translate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status in (200, 202)
        if answer.status == 202:  # this machine takes its time
            assert service.job_when_ended(answer.headers["Location"])["status"] == "completed"


def test_a_changed_address_is_not_found(service: Service) -> None:
    url = service.translate().json()["audio_url"]
    _problem(service.http.get(url[:-2] + ("00" if url[-2:] != "00" else "11")), 404, "not_found")
    _problem(service.http.get(url.split("?")[0]), 404, "not_found")


def test_what_is_not_asked_for_is_null(service: Service) -> None:
    answer = service.translate(options={"return_base64": False, "return_audio_url": False}).json()
    assert answer["audio_base64"] is None
    assert answer["audio_url"] is None
    assert answer["status"] == "completed"


def test_quality_is_read_from_the_options_and_from_the_top(service: Service) -> None:
    service.translate(options={"quality": "high"})
    service.translate(quality="fast")
    service.translate(quality="fast", options={"quality": "high"})
    said = [request.quality for request in service.voice.requests]
    assert list(dict.fromkeys(said)) == ["high", "fast"]
    assert said.count(Quality.FAST) == 2 * len(service.transcriber.sentences)  # one by one, when nobody compares takes


def test_languages_are_read_as_bcp_47_and_answered_as_short_codes(service: Service) -> None:
    answer = service.translate(source_language="EN-us", target_language="es-419").json()
    assert (answer["source_language"], answer["target_language"]) == ("en", "es")


def test_an_unsupported_language_or_pair_says_what_there_is(service: Service) -> None:
    assert "xx" in _problem(service.translate(target_language="xx"), 422, "unsupported_language")["detail"]
    _problem(service.translate(target_language="hu"), 422, "unsupported_language")
    _problem(service.translate(source_language="de"), 422, "unsupported_language")
    assert service.transcriber.gate.entered == 0


def test_an_engines_error_is_the_calls_error_and_the_jobs_error(service: Service) -> None:
    service.translator.error = TranslationUnavailable("The provider did not answer.")
    assert _problem(service.translate(), 502, "translation_unavailable")["retryable"] is True
    accepted = service.translate({"Prefer": "respond-async"})
    job = service.job_when_ended(accepted.headers["location"])
    assert job["status"] == "failed"
    assert (job["error"]["code"], job["error"]["status"]) == ("translation_unavailable", 502)
    assert job["audio_base64"] is None


def test_respond_async_gives_202_and_a_job_that_completes(service: Service) -> None:
    response = service.translate({"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    location = response.headers["location"]
    assert response.json()["status"] in ("pending", "processing")
    job = service.job_when_ended(location)
    assert job["status"] == "completed"
    alias = service.http.get(location.replace("/job/", "/translate/")).json()
    assert {**alias, "audio_url": None} == {**job, "audio_url": None}


def test_respond_async_with_wait_answers_200_when_it_is_done_in_time(service: Service) -> None:
    response = service.translate({"Prefer": "respond-async, wait=10"})
    assert (response.status_code, response.json()["status"]) == (200, "completed")


def test_a_call_that_outlives_the_limit_becomes_a_202_and_loses_nothing(service: Service) -> None:
    service.voice.gate.opened.clear()
    response = service.translate()
    assert response.status_code == 202
    assert response.json()["stage"] == "voice_cloning"
    service.voice.gate.opened.set()
    assert service.job_when_ended(response.headers["location"])["status"] == "completed"


def test_a_caller_that_goes_away_stops_the_engine(service: Service) -> None:
    service.voice.gate.opened.clear()
    with closing(HTTPConnection(service.http.base_url.host, service.http.base_url.port)) as caller:
        caller.request("POST", "/api/v1/voice/translate", json.dumps(MESSAGE), {"Content-Type": "application/json"})
        while not service.voice.gate.inside:
            time.sleep(0.01)
    while not service.voice.gate.cancelled:
        time.sleep(0.01)
    assert service.voice.gate.cancelled == service.voice.gate.entered


def test_a_full_queue_is_said_with_retry_after_and_recovers(service: Service) -> None:
    service.voice.gate.opened.clear()
    accepted = [service.translate({"Prefer": "respond-async"}) for _ in range(2)]
    while service.voice.gate.inside < 2:
        time.sleep(0.01)
    answers = [service.translate({"Prefer": "respond-async"}) for _ in range(6)]
    accepted += [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    for answer in refused:
        assert _problem(answer, 503, "overloaded")["retryable"] is True
        assert float(answer.headers["retry-after"]) > 0
    service.voice.gate.opened.set()
    assert all(service.job_when_ended(answer.headers["location"])["status"] == "completed" for answer in accepted)
    assert service.translate().status_code == 200


def test_the_server_answers_while_an_engine_works(service: Service) -> None:
    service.voice.gate.opened.clear()
    service.translate({"Prefer": "respond-async"})
    try:
        assert service.http.get("/health/live").json() == {"status": "alive"}
        assert service.http.get("/health").json()["jobs"]["running"] == 1
    finally:  # or the service waits for the job when it is to end
        service.voice.gate.opened.set()


def test_the_envelope_wraps_answers_and_problems(service: Service) -> None:
    good = service.translate({"Accept": ENVELOPE})
    assert good.headers["content-type"] == ENVELOPE
    assert good.json()["success"] is True
    assert good.json()["data"]["status"] == "completed"
    bad = service.translate({"Accept": ENVELOPE}, target_language="xx")
    assert bad.status_code == 422
    assert bad.json()["success"] is False
    assert bad.json()["error"]["code"] == "unsupported_language"


@pytest.mark.parametrize("path", ["transcribe", "translate"])
def test_candidates_and_a_prompt_reach_the_recogniser(service: Service, path: str) -> None:
    body = {"audio": AUDIO, "source_languages": ["FR", "en-GB"], "prompt": " Zoë Ångström "}
    if path == "translate":
        body["target_language"] = "fr"
    answer = service.http.post(f"/api/v1/voice/{path}", json=body)
    assert answer.status_code == 200, answer.text
    assert service.transcriber.hints == Hints(("fr", "en"), "Zoë Ångström")


def test_one_language_or_candidates_not_both(service: Service) -> None:
    body = {"audio": AUDIO, "source_language": "en", "source_languages": ["fr"]}
    answer = service.http.post("/api/v1/voice/transcribe", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert "source_languages" in answer.json()["detail"]


def test_transcribe_gives_segments_and_words(service: Service) -> None:
    answer = service.http.post("/api/v1/voice/transcribe", json={"audio": AUDIO, "source_language": "en"}).json()
    assert answer["text"] == " ".join(segment["text"] for segment in answer["segments"])
    assert answer["segments"][0]["words"][0]["confidence"] == 0.9
    assert answer["engine"] == "fake-transcriber"


LATER = {"Prefer": "respond-async"}
MINUTES = {"audio": base64.b64encode(b"long").decode(), "source_language": "en"}


def transcribe(service: Service, headers: dict[str, str] | None = None, **changes: object) -> httpx.Response:
    return service.http.post("/api/v1/voice/transcribe", json=MINUTES | changes, headers=headers)


def test_a_long_recording_is_transcribed_as_a_short_one_while_there_is_time(service: Service) -> None:
    short, long = transcribe(service, audio=AUDIO).json(), transcribe(service).json()
    differing = {"duration_seconds", "processing_time_ms"}
    assert {name for name in long if long[name] != short[name]} <= differing
    assert set(long) == set(short)
    assert long["duration_seconds"] == 240


def test_a_transcription_that_takes_longer_than_the_wait_goes_on_as_a_job(service: Service) -> None:
    service.transcriber.gate.opened.clear()
    accepted = transcribe(service)
    service.transcriber.gate.opened.set()
    assert (accepted.status_code, accepted.json()["status"]) == (202, "processing")
    job = service.job_when_ended(accepted.headers["location"])
    again = transcribe(service).json()
    assert job["transcript"] | {"processing_time_ms": 0} == again | {"processing_time_ms": 0}
    assert (job["status"], job["target_language"], job["original_text"]) == ("completed", None, again["text"])
    assert (job["audio_base64"], job["audio_url"], job["voice_match"]) == (None, None, None)


def test_who_does_not_wait_for_a_transcript_gets_a_job_however_short_it_is(service: Service) -> None:
    answer = transcribe(service, LATER, audio=AUDIO)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert service.job_when_ended(answer.headers["location"])["transcript"]["segments"][0]["words"]
    listed = service.http.get("/api/v1/voice/jobs").json()["jobs"]
    assert answer.json()["job_id"] in [job["job_id"] for job in listed]
    _problem(transcribe(service, LATER, source_language="ko"), 422, "unsupported_language")


def test_a_recording_without_speech_is_refused_alike_now_and_later(service: Service) -> None:
    silence = base64.b64encode(b"silence").decode()
    _problem(transcribe(service, audio=silence), 422, "no_speech_detected")
    _problem(transcribe(service, {"Prefer": "wait=30"}, audio=silence), 422, "no_speech_detected")


def test_a_repeated_recording_with_a_key_is_heard_once(service: Service) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first, again = (transcribe(service, key, audio=AUDIO).json() for _ in range(2))
    assert first == again
    assert service.transcriber.gate.entered == 1
    _problem(transcribe(service, key), 422, "idempotency_key_reused")


def test_a_transcription_counts_once(service: Service) -> None:
    def counted() -> tuple[int, float]:
        today = service.http.get("/api/v1/usage").json()["days"][-1]
        return today["requests"], today["seconds_in"]

    requests, seconds = counted()
    transcribe(service).raise_for_status()
    assert counted() == (requests + 1, seconds + 240)


def test_clone_speaks_a_text_with_a_recording_or_a_profile(service: Service) -> None:
    body = {"text": "Hola.", "target_language": "es"}
    answer = service.http.post("/api/v1/voice/clone", json=body | {"reference_audio": AUDIO}).json()
    assert base64.b64decode(answer["audio_base64"])[:4] == b"RIFF"
    assert service.http.get(answer["audio_url"]).status_code == 200
    _problem(service.http.post("/api/v1/voice/clone", json=body), 422, "validation_error")
    missing = body | {"voice_profile_id": "nobody"}
    _problem(service.http.post("/api/v1/voice/clone", json=missing), 404, "not_found")


LONG = {"text": "Buenos días a todos. " * 20, "target_language": "es", "reference_audio": AUDIO}


def test_a_long_text_is_answered_as_a_short_one_while_there_is_time(service: Service) -> None:
    short = service.http.post("/api/v1/voice/clone", json=LONG | {"text": "Hola."}).json()
    answer = service.http.post("/api/v1/voice/clone", json=LONG)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == set(short)
    assert (answer.json()["engine"], answer.json()["degraded"]) == ("fake-voice", [])
    assert answer.json()["duration_seconds"] >= 0.5 * 20
    assert service.http.get(answer.json()["audio_url"]).content == base64.b64decode(answer.json()["audio_base64"])


def test_a_text_that_takes_longer_than_the_wait_goes_on_as_a_job(service: Service) -> None:
    service.voice.gate.opened.clear()
    accepted = service.http.post("/api/v1/voice/clone", json=LONG)
    service.voice.gate.opened.set()
    assert (accepted.status_code, accepted.json()["status"]) == (202, "processing")
    job = service.job_when_ended(accepted.headers["location"])
    assert (job["status"], job["original_text"], job["translated_text"]) == ("completed", LONG["text"], LONG["text"])
    assert (job["source_language"], job["target_language"]) == ("es", "es")
    assert base64.b64decode(job["audio_base64"])[:4] == b"RIFF"
    assert set(job["timestamps"].values()) >= {0}


def test_who_does_not_wait_for_a_text_gets_a_job_however_short_it_is(service: Service) -> None:
    body = {"text": "Hola.", "target_language": "es"}
    answer = service.http.post("/api/v1/voice/clone", json=body | {"reference_audio": AUDIO}, headers=LATER)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    job = service.job_when_ended(answer.headers["location"])
    assert (job["status"], job["duration_seconds"]) == ("completed", 0.5)
    for wrong, status, code in (
        (body | {"voice_profile_id": "nobody"}, 404, "not_found"),
        (body | {"reference_audio": AUDIO, "target_language": "de"}, 422, "unsupported_language"),
        (body | {"reference_audio": AUDIO, "text": "…"}, 422, "validation_error"),
    ):
        _problem(service.http.post("/api/v1/voice/clone", json=wrong, headers=LATER), status, code)


def test_a_repeated_text_with_a_key_is_said_once(service: Service) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first, again = (service.http.post("/api/v1/voice/clone", json=LONG, headers=key).json() for _ in range(2))
    assert first["audio_base64"] == again["audio_base64"]
    assert len(service.voice.said) == 20
    _problem(
        service.http.post("/api/v1/voice/clone", json=LONG | {"text": "Hola."}, headers=key),
        422,
        "idempotency_key_reused",
    )


def test_a_short_text_that_takes_too_long_is_told_how_to_wait(service: Service) -> None:
    service.voice.gate.opened.clear()
    answer = service.http.post("/api/v1/voice/clone", json=LONG | {"text": "Hola."})
    service.voice.gate.opened.set()
    _problem(answer, 504, "deadline_exceeded", "Prefer: respond-async")


def test_a_profile_is_used_listed_replaced_and_deleted_with_what_it_spoke(tmp_path: Path) -> None:
    with serve(tmp_path / "data", min_reference_seconds=0.5) as http:
        body = PROFILE | {"name": "mine"}
        profile = http.post("/api/v1/voice/profile", json=body).json()
        identity = profile["profile_id"]
        assert set(profile["voice_characteristics"]) == {"pitch_hz", "voice_type", "brightness"}
        assert profile["embedding_cached"] is True
        replaced = http.post("/api/v1/voice/profile", json=body | {"profile_id": identity, "name": "new"}).json()
        assert (replaced["profile_id"], replaced["name"]) == (identity, "new")
        renamed = http.patch(f"/api/v1/voice/profile/{identity}", json={"name": "Ana"}).json()
        assert renamed == replaced | {"name": "Ana", "updated_at": renamed["updated_at"]}
        _problem(http.patch(f"/api/v1/voice/profile/{identity}", json={"name": ""}), 422, "validation_error")
        assert [item["name"] for item in http.get("/api/v1/voice/profiles").json()["profiles"]] == ["Ana"]
        assert [item["profile_id"] for item in http.get("/api/v1/voice/profiles").json()["profiles"]] == [identity]
        job = http.post("/api/v1/voice/translate", json=MESSAGE | {"voice_profile_id": identity}).json()
        assert http.delete(f"/api/v1/voice/profile/{identity}").status_code == 204
        _problem(http.get(f"/api/v1/voice/profile/{identity}"), 404, "not_found")
        _problem(http.get(f"/api/v1/voice/job/{job['job_id']}"), 404, "not_found")
        _problem(http.get(job["audio_url"]), 404, "not_found")
        _problem(http.post("/api/v1/voice/translate", json=MESSAGE | {"voice_profile_id": identity}), 404, "not_found")
    assert not [path for path in (tmp_path / "data" / "audio").rglob("*") if path.is_file()]


def test_a_profile_takes_further_recordings_and_names_the_bad_one(tmp_path: Path) -> None:
    voice = FakeVoice()
    silence = base64.b64encode(b"silence").decode()
    with serve(tmp_path / "data", fake_engines(voice=voice), min_reference_seconds=0.5) as http:

        def save(*additional: str) -> httpx.Response:
            return http.post("/api/v1/voice/profile", json=PROFILE | {"additional_references": additional})

        _problem(save(AUDIO, "not base64!"), 400, "invalid_base64", "additional_references[1]")
        _problem(save(silence), 422, "no_speech_detected", "additional_references[0]")
        _problem(save(*[AUDIO] * 5), 422, "validation_error", "additional_references")
        assert voice.conditioned == 0
        profile = save(AUDIO, AUDIO).json()
        assert profile["duration_seconds"] == 3.0
        assert profile["embedding_cached"] is True
        for language in ("es", "fr"):
            body = MESSAGE | {"voice_profile_id": profile["profile_id"], "target_language": language}
            options = {"preserve_emotion": False}
            assert http.post("/api/v1/voice/translate", json=body | {"options": options}).status_code == 200
        assert voice.conditioned == 1
        stored = http.get(f"/api/v1/voice/profile/{profile['profile_id']}").json()
        assert stored == profile
        assert http.delete(f"/api/v1/voice/profile/{profile['profile_id']}").status_code == 204
    assert not [path for path in (tmp_path / "data" / "audio").rglob("*") if path.is_file()]


def test_a_short_reference_is_refused(service: Service) -> None:
    _problem(service.http.post("/api/v1/voice/profile", json=PROFILE), 422, "reference_too_short")


def test_usage_counts_what_was_done(service: Service) -> None:
    service.translate()
    before = service.http.get("/api/v1/usage").json()["days"][0]
    service.translate()
    service.http.post("/api/v1/voice/transcribe", json={"audio": AUDIO})
    after = service.http.get("/api/v1/usage").json()["days"][0]
    counted = {name: after[name] - before[name] for name in ("requests", "seconds_in", "seconds_out")}
    assert counted == {"requests": 2, "seconds_in": 3.0, "seconds_out": 1.25}


def test_languages_lists_what_the_engines_can_do(service: Service) -> None:
    answer = service.http.get("/api/v1/languages").json()
    pairs = {(pair["source"], pair["target"]) for pair in answer["pairs"]}
    assert pairs == {("en", "es"), ("en", "fr"), ("fr", "en")}
    assert answer["voice"]["engine"] == "fake-voice"


def test_health_names_the_engines_and_the_parts(service: Service) -> None:
    answer = service.http.get("/health").json()
    assert (answer["status"], answer["service"]) == ("healthy", "voice-translation")
    assert answer["engines"]["voice"] == "fake-voice"
    assert answer["checks"]["database"]["status"] == "ok"
    assert service.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"audio": None}, 422, "validation_error"),
        ({"audio": ""}, 422, "validation_error"),
        ({"audio": "!!not base64!!"}, 400, "invalid_base64"),
        ({"audio_format": "docx"}, 422, "validation_error"),
        ({"target_language": 7}, 422, "validation_error"),
        ({"options": {"quality": "best"}}, 422, "validation_error"),
        ({"voice_profile_id": "../../etc"}, 422, "validation_error"),
        ({"voice_profile_id": "unknown"}, 404, "not_found"),
    ],
)
def test_bad_fields_are_named_and_not_repeated(
    service: Service, changes: dict[str, Any], status: int, code: str
) -> None:
    response = service.translate(**changes)
    _problem(response, status, code)
    assert AUDIO not in response.text


def test_the_openapi_document_describes_every_path_with_an_example(service: Service) -> None:
    document = service.http.get("/openapi.json").json()
    assert set(document["paths"]) >= {
        "/api/v1/voice/translate",
        "/api/v1/voice/transcribe",
        "/api/v1/voice/clone",
        "/api/v1/voice/profile",
        "/api/v1/voice/profiles",
        "/api/v1/voice/profile/{profile_id}",
        "/api/v1/voice/jobs",
        "/api/v1/voice/job/{job_id}",
        "/api/v1/voice/translate/{job_id}",
        "/api/v1/languages",
        "/api/v1/usage",
        "/health",
        "/health/live",
        "/health/ready",
    }
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation.get("description") for operation in operations)
    schemas = document["components"]["schemas"]
    for name in ("TranslateRequest", "TranslateResponse", "TranscribeResponse", "CloneResponse", "ProfileResponse"):
        assert schemas[name]["example"], name
