"""Consent over HTTP, on fake engines: what must be said, what is answered, and what is written down."""

import base64
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.bootstrap_engines import Engines
from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeTranslator, FakeVoice

RECORDING = b"any bytes: the decoder is a fake"
STATEMENT = "I, Ann, agree to be heard as in the play of 1923."
CONSENT = {"given": True, "statement": STATEMENT, "recorded_at": "2026-11-21T10:00:00Z"}


def encoded(recording: bytes) -> str:
    return base64.b64encode(recording).decode()


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    engines = Engines(FakeDecoder(), FakeTranscriber(), (FakeTranslator(),), FakeVoice(), FakeAnalyzer(), runners={})
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", min_reference_seconds=1)
    with serving(create_app(settings, engines)) as url, httpx.Client(base_url=f"{url}/api/v1/voice", timeout=20) as one:
        yield one


def save(http: httpx.Client, **changes: object) -> httpx.Response:
    return http.post("/profile", json={"reference_audio": encoded(RECORDING), "consent": CONSENT} | changes)


def rows(tmp_path: Path, query: str) -> list[Any]:
    with sqlite3.connect(tmp_path / "data" / "voice.db") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_profile_says_under_which_consent_it_is_kept(http: httpx.Client) -> None:
    before = datetime.now(UTC)
    saved = save(http).json()
    read = http.get(f"/profile/{saved['profile_id']}").json()
    assert read == saved
    assert http.get("/profiles").json()["profiles"] == [saved]
    agreed = read["consent"]
    assert (agreed["statement"], agreed["recorded_at"]) == (STATEMENT, "2026-11-21T10:00:00Z")
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


@pytest.mark.parametrize(
    "recorded_at",
    [
        (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-11-21T10:00:00",
        "yesterday",
    ],
    ids=["tomorrow", "after all times", "before all times", "without an offset", "no time"],
)
def test_a_time_at_which_nobody_can_have_agreed_is_refused(
    http: httpx.Client, tmp_path: Path, recorded_at: str
) -> None:
    refused = save(http, consent=CONSENT | {"recorded_at": recorded_at})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
    assert "consent.recorded_at" in refused.json()["detail"]
    assert rows(tmp_path, "SELECT * FROM consents") == []


def test_a_clock_that_is_a_little_fast_is_believed(http: httpx.Client) -> None:
    soon = datetime.now(timezone(timedelta(hours=9))) + timedelta(seconds=15)
    assert save(http, consent=CONSENT | {"recorded_at": soon.isoformat()}).status_code == 200


@pytest.mark.parametrize("consent", [None, CONSENT | {"given": False}])
def test_without_consent_there_is_no_profile(http: httpx.Client, consent: object) -> None:
    refused = save(http, consent=consent)
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_required")
