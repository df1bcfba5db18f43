"""Consent over HTTP, on fake engines: what must be said, what is answered, and what is written down."""

import base64
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jwt

from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber
from tests.support.options import applied

RECORDING = b"any bytes: the decoder is a fake"
STATEMENT = "I, Ann, agree to be heard as in the play of 1923."
CONSENT = {"given": True, "statement": STATEMENT, "recorded_at": "2025-11-21T10:00:00Z"}


def encoded(recording: bytes) -> str:
    return base64.b64encode(recording).decode()


@contextmanager
def service(data_dir: Path, transcriber: FakeTranscriber | None = None, **settings: Any) -> Iterator[httpx.Client]:
    engines = fake_engines(transcriber=transcriber or FakeTranscriber())
    with serve(data_dir, engines, min_reference_seconds=1, **settings) as http:
        http.base_url = http.base_url.join("/api/v1/voice")
        yield http


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with service(tmp_path / "data") as one:
        yield one


def save(http: httpx.Client, **changes: object) -> httpx.Response:
    return http.post("/profile", json={"reference_audio": encoded(RECORDING), "consent": CONSENT} | changes)


def rows(tmp_path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(tmp_path / "data" / "voice.db", timeout=60)) as connection, connection:
        return connection.execute(query).fetchall()


def test_a_profile_says_under_which_consent_it_is_kept(http: httpx.Client) -> None:
    before = datetime.now(UTC)
    saved = save(http).json()
    read = http.get(f"/profile/{saved['profile_id']}").json()
    assert read == saved
    assert http.get("/profiles").json()["profiles"] == [saved]
    agreed = read["consent"]
    assert (agreed["statement"], agreed["recorded_at"]) == (STATEMENT, "2025-11-21T10:00:00Z")
    assert agreed["method"] == "declared"
    assert before <= datetime.fromisoformat(agreed["received_at"]) <= datetime.now(UTC)
    assert (read["verified"], read["verified_at"]) == (False, None)


def test_the_record_has_who_when_and_for_which_recordings(http: httpx.Client, tmp_path: Path) -> None:
    saved = save(http, additional_references=[encoded(b"more")]).json()
    ((profile, user, sent_by, statement, method, checksums),) = rows(
        tmp_path, "SELECT profile_id, user_id, sent_by, statement, method, reference_sha256 FROM consents"
    )
    assert (profile, user, sent_by) == (saved["profile_id"], "local", "local")
    assert (statement, method) == (STATEMENT, "declared")
    assert checksums == f'["{sha256(RECORDING).hexdigest()}", "{sha256(b"more").hexdigest()}"]'


def test_a_service_that_acts_for_a_user_is_named_as_the_one_who_sent_it(http: httpx.Client, tmp_path: Path) -> None:
    save(http, user_id="ann")
    assert rows(tmp_path, "SELECT user_id, sent_by FROM consents") == [("ann", "local")]


def test_replacing_the_voice_keeps_the_old_consent_and_deleting_keeps_none(http: httpx.Client, tmp_path: Path) -> None:
    old = save(http).json()
    again = CONSENT | {"statement": "And to this one, too."}
    new = save(http, profile_id=old["profile_id"], reference_audio=encoded(b"other"), consent=again).json()
    assert (new["profile_id"], new["consent"]["statement"]) == (old["profile_id"], "And to this one, too.")
    kept = rows(tmp_path, "SELECT statement FROM consents ORDER BY received_at")
    assert kept == [(STATEMENT,), ("And to this one, too.",)]
    assert http.delete(f"/profile/{old['profile_id']}").status_code == 204
    assert rows(tmp_path, "SELECT * FROM consents") == []


def test_the_audit_log_says_that_it_was_given_and_none_of_its_words(http: httpx.Client, tmp_path: Path) -> None:
    saved = save(http, user_id="ann").json()
    ((user, action, subject, details),) = rows(tmp_path, "SELECT user_id, action, subject, details FROM audit_log")
    ((consent,),) = rows(tmp_path, "SELECT id FROM consents")
    assert (user, action, subject) == ("ann", "profile.save", f"profile:{saved['profile_id']}")
    assert details == f'{{"consent": "{consent}", "method": "declared", "by": "local"}}'


def test_a_time_at_which_nobody_can_have_agreed_is_refused(http: httpx.Client, tmp_path: Path) -> None:
    for recorded_at in (
        (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2025-11-21T10:00:00",  # without an offset
        "yesterday",
    ):
        answer = save(http, consent=CONSENT | {"recorded_at": recorded_at})
        refused(answer, 422, "validation_error", "consent.recorded_at")
    assert rows(tmp_path, "SELECT * FROM consents") == []


def test_a_clock_that_is_a_little_fast_is_believed(http: httpx.Client) -> None:
    soon = datetime.now(timezone(timedelta(hours=9))) + timedelta(seconds=15)
    assert save(http, consent=CONSENT | {"recorded_at": soon.isoformat()}).status_code == 200


GATEWAYS = {"user_id": "ann", "reference_audio": encoded(RECORDING), "audio_format": "wav"}


def test_a_profile_without_consent_says_that_none_is_on_record(http: httpx.Client, tmp_path: Path) -> None:
    answer = http.post("/profile", json=GATEWAYS)
    saved = answer.json()
    assert (answer.status_code, saved["user_id"]) == (200, "ann")
    assert (saved["consent"], saved["verified"], saved["verified_at"]) == (None, False, None)
    assert [note for note in saved["degraded"] if "consent" in note.lower()] == saved["degraded"] != []
    assert rows(tmp_path, "SELECT consent_id FROM voice_profiles") == [(None,)]
    assert rows(tmp_path, "SELECT * FROM consents") == []
    agreed = save(http, user_id="ann", profile_id=saved["profile_id"]).json()
    assert (agreed["consent"]["statement"], agreed["degraded"]) == (STATEMENT, [])


def test_who_says_that_the_speaker_does_not_agree_is_refused(http: httpx.Client) -> None:
    refused(save(http, consent=CONSENT | {"given": False}), 403, "consent_required", "given")


def test_where_it_is_required_no_voice_without_consent_is_kept_or_spoken_with(tmp_path: Path) -> None:
    with service(tmp_path / "data") as before:
        profile_id = before.post("/profile", json=GATEWAYS).json()["profile_id"]
    with service(tmp_path / "data", profile_consent="required") as http:
        refused(http.post("/profile", json=GATEWAYS), 403, "consent_required", "statement")
        clone = {"text": "Good.", "target_language": "en", "voice_profile_id": profile_id, "user_id": "ann"}
        refused(http.post("/clone", json=clone), 403, "consent_required", "anew")
        assert save(http, user_id="ann", profile_id=profile_id).status_code == 200
        assert http.post("/clone", json=clone).status_code == 200


def test_a_users_profile_is_found_by_requests_in_that_users_name_alone(http: httpx.Client) -> None:
    profile_id = http.post("/profile", json=GATEWAYS).json()["profile_id"]
    message = {"audio": encoded(RECORDING), "target_language": "es", "voice_profile_id": profile_id}
    clone = {"text": "Good.", "target_language": "en", "voice_profile_id": profile_id}
    as_ann = {"X-On-Behalf-Of": "ann"}
    for path, body in (("/translate", message), ("/clone", clone)):
        assert http.post(path, json=body | {"user_id": "ann"}).status_code == 200
        assert http.post(path, json=body, headers=as_ann).status_code == 200
        refused(http.post(path, json=body), 404, "not_found", "user_id")
        refused(http.post(path, json=body | {"user_id": "bob"}), 404, "not_found")
        refused(http.post(path, json=body | {"user_id": "bob"}, headers=as_ann), 403, "forbidden")
    job_id = http.post("/translate", json=message | {"user_id": "ann"}).json()["job_id"]
    assert http.get(f"/job/{job_id}", headers=as_ann).status_code == 200
    refused(http.get(f"/job/{job_id}"), 404, "not_found")


def test_who_has_the_address_of_a_users_job_or_profile_gets_it_without_a_token(http: httpx.Client) -> None:
    def own(url: str) -> str:
        return url.removeprefix("/api/v1/voice")

    user = "ann+1@example.org"
    message = {"audio": encoded(RECORDING), "target_language": "es", "user_id": user}
    accepted = http.post("/translate", json=message, headers={"Prefer": "respond-async"})
    job_id, address = accepted.json()["job_id"], own(accepted.headers["location"])
    assert http.get(address).json()["job_id"] == job_id
    query = {"user_id": user}
    assert [job["job_id"] for job in http.get("/jobs", params=query).json()["jobs"]] == [job_id]
    assert http.get(address, headers={"X-On-Behalf-Of": user}).status_code == 200
    refused(http.get(f"/job/{job_id}"), 404, "not_found")
    refused(http.get(address, headers={"X-On-Behalf-Of": "bob"}), 403, "forbidden")
    refused(http.get(f"/job/{job_id}", params={"user_id": "a b"}), 422, "validation_error")
    assert http.delete(address).status_code == 204
    refused(http.get(address), 404, "not_found")

    profile = f"/profile/{http.post('/profile', json=GATEWAYS | query).json()['profile_id']}"
    assert http.get(profile, params=query).json()["user_id"] == user
    assert len(http.get("/profiles", params=query).json()["profiles"]) == 1
    refused(http.delete(profile), 404, "not_found")
    assert http.delete(profile, params=query).status_code == 204


def test_the_next_page_of_a_users_jobs_is_that_users(http: httpx.Client) -> None:
    message = {"audio": encoded(RECORDING), "target_language": "es", "user_id": "ann"}
    for _ in range(2):
        assert http.post("/translate", json=message).status_code == 200
    first = http.get("/jobs", params={"user_id": "ann", "limit": 1})
    following = http.get(first.links["next"]["url"])
    assert len(following.json()["jobs"]) == 1
    assert following.json()["jobs"] != first.json()["jobs"]


def refused(answer: httpx.Response, status: int, code: str, said: str = "") -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert said in problem["detail"].lower()


def answered(http: httpx.Client, transcriber: FakeTranscriber, **body: object) -> dict[str, str]:
    """A challenge of this user's, which the recogniser will hear."""
    made = http.post("/profile/challenge", json=body).json()
    transcriber.sentences = (made["sentence"],)
    return {"challenge_id": made["challenge_id"], "audio": encoded(b"the sentence")}


def test_where_it_is_required_only_verified_voices_are_kept_and_spoken_with(tmp_path: Path) -> None:
    with service(tmp_path / "data") as before:
        profile_id = save(before).json()["profile_id"]
        reference = {"text": "Good.", "target_language": "en", "reference_audio": encoded(RECORDING)}
        assert before.post("/clone", json=reference).status_code == 200
    transcriber = FakeTranscriber()
    with service(tmp_path / "data", transcriber, profile_verification="required") as http:
        clone = {"text": "Good.", "target_language": "en", "voice_profile_id": profile_id}
        message = {"audio": encoded(RECORDING), "target_language": "es", "source_language": "en"}
        with_profile = message | {"voice_profile_id": profile_id}
        refused(save(http), 403, "consent_required", "challenge")
        refused(http.post("/translate", json=with_profile), 403, "consent_required", "challenge")
        refused(http.post("/clone", json=clone), 403, "consent_required", "challenge")
        refused(http.post("/clone", json=reference), 403, "consent_required", "challenge")
        assert http.post("/translate", json=message).status_code == 200

        verified = http.post(f"/profile/{profile_id}/verification", json=answered(http, transcriber))
        assert (verified.status_code, verified.json()["verified"]) == (200, True)
        assert verified.json() == http.get(f"/profile/{profile_id}").json()
        assert http.post("/clone", json=clone).status_code == 200
        assert http.post("/translate", json=with_profile).status_code == 200
        assert save(http, verification=answered(http, transcriber)).json()["verified"] is True
    kept = rows(tmp_path, "SELECT profile_id, method, statement FROM consents ORDER BY received_at LIMIT 2")
    assert kept == [(profile_id, "declared", STATEMENT), (profile_id, "spoken_challenge", STATEMENT)]


def test_an_expired_challenge_is_not_there_and_makes_room(tmp_path: Path) -> None:
    transcriber = FakeTranscriber()
    two = {"src.bootstrap.use_cases.Challenges": {"most_per_user": 2}}
    with applied(two), service(tmp_path / "data", transcriber) as http:
        late = answered(http, transcriber)
        http.post("/profile/challenge", json={})
        full = http.post("/profile/challenge", json={})
        refused(full, 429, "rate_limited", "wait")
        assert 0 < int(full.headers["retry-after"]) <= 300
        rows(tmp_path, "UPDATE voice_challenges SET expires_at = '2026-01-01 00:00:00.000000'")
        refused(save(http, verification=late), 404, "not_found", "expired")
        assert save(http, verification=answered(http, transcriber)).json()["verified"] is True


def test_a_failed_verification_is_in_the_audit_log_without_its_words(tmp_path: Path) -> None:
    transcriber = FakeTranscriber()
    with service(tmp_path / "data", transcriber) as http:
        answer = answered(http, transcriber, user_id="ann")
        transcriber.sentences = ("something else",)
        refused(save(http, user_id="ann", verification=answer), 422, "verification_failed", "the words are not")
    found = rows(tmp_path, "SELECT user_id, action, subject, outcome, details FROM audit_log")
    assert found == [("ann", "profile.verify", "profile:new", "verification_failed", '{"by": "local"}')]


def test_a_repeated_request_gets_the_answer_of_the_first_and_needs_no_second_challenge(tmp_path: Path) -> None:
    transcriber = FakeTranscriber()
    with service(tmp_path / "data", transcriber) as http:
        answer, key = answered(http, transcriber), {"Idempotency-Key": "once"}
        body = {"reference_audio": encoded(RECORDING), "consent": CONSENT, "verification": answer}
        first, again = (http.post("/profile", json=body, headers=key) for _ in range(2))
        assert (first.status_code, again.json()) == (200, first.json())
        other = body | {"verification": answer | {"audio": encoded(b"another recording")}}
        refused(http.post("/profile", json=other, headers=key), 422, "idempotency_key_reused")


def test_challenges_are_for_users_that_the_caller_may_act_for(tmp_path: Path) -> None:
    access: dict[str, Any] = {
        "jwt_secret": "a secret of more than thirty-two bytes",
        "jwt_issuer": "tests",
        "jwt_audience": "voice",
    }
    now = int(time.time())
    claims = {"sub": "ann", "iss": "tests", "aud": "voice", "iat": now, "exp": now + 600, "scope": "voice"}
    with service(tmp_path / "data", auth_mode="jwt", **access) as http:
        http.headers["Authorization"] = f"Bearer {jwt.encode(claims, access['jwt_secret'])}"
        mine = http.post("/profile/challenge", json={}).json()
        refused(http.post("/profile/challenge", json={"user_id": "bob"}), 403, "forbidden")
        message = {"audio": encoded(RECORDING), "target_language": "es", "source_language": "en"}
        clone = {"text": "Good.", "target_language": "en", "reference_audio": encoded(RECORDING)}
        for path, sent in (("translate", message), ("transcribe", message), ("clone", clone)):
            refused(http.post(f"/{path}", json=sent | {"user_id": "bob"}), 403, "forbidden")
        for address in ("/jobs", "/job/j", "/profiles", "/profile/p"):
            refused(http.get(address, params={"user_id": "bob"}), 403, "forbidden")
            assert http.get(address, params={"user_id": "ann"}).status_code in (200, 404)
        for address in ("/job/j", "/profile/p"):
            refused(http.delete(address, params={"user_id": "bob"}), 403, "forbidden")
            assert http.post(f"/{path}", json=sent | {"user_id": "ann"}).status_code == 200
        body = {"challenge_id": mine["challenge_id"], "audio": encoded(b"any"), "user_id": "bob"}
        refused(http.post("/profile/nothing/verification", json=body), 403, "forbidden")
