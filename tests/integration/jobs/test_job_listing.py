"""The list of a caller's jobs over HTTP, on fake engines."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from src.domain.errors import TranslationUnavailable
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranslator
from tests.support.messages import MESSAGE
from tests.support.tokens import WITH_TOKENS, as_user

JOBS = "/api/v1/voice/jobs"


class Caller:
    """One user of a running service."""

    def __init__(self, http: httpx.Client, user: str, translator: FakeTranslator) -> None:
        self.http, self.translator = http, translator
        self.headers = as_user(user)

    def translate(self, **changes: object) -> str:
        answer = self.http.post("/api/v1/voice/translate", json=MESSAGE | changes, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    def translate_in_vain(self) -> None:
        """Into another language than the others, whose translation is in the cache."""
        self.translator.error = TranslationUnavailable("It does not answer.")
        body = MESSAGE | {"target_language": "fr"}
        assert self.http.post("/api/v1/voice/translate", json=body, headers=self.headers).status_code == 502
        self.translator.error = None

    def get(self, url: str = JOBS, **query: Any) -> httpx.Response:
        return self.http.get(url, params=query or None, headers=self.headers)

    def ids(self, **query: Any) -> list[str]:
        return [job["job_id"] for job in self.get(**query).json()["jobs"]]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[httpx.Client, FakeTranslator]]:
    translator = FakeTranslator()
    with serve(tmp_path / "data", fake_engines(translators=(translator,)), **WITH_TOKENS) as http:
        yield http, translator


@pytest.fixture
def ann(service: tuple[httpx.Client, FakeTranslator]) -> Caller:
    return Caller(service[0], "ann", service[1])


@pytest.fixture
def bob(service: tuple[httpx.Client, FakeTranslator]) -> Caller:
    return Caller(service[0], "bob", service[1])


def test_a_listed_job_says_what_the_job_itself_says_but_for_its_sound(ann: Caller) -> None:
    job_id = ann.translate()
    (listed,) = ann.get().json()["jobs"]
    whole = ann.get(f"/api/v1/voice/job/{job_id}").json()
    assert ann.http.get(listed["audio_url"]).content == base64.b64decode(whole["audio_base64"])
    assert "audio_base64" not in listed
    assert {"translated_text", "original_text", "duration_seconds", "voice_similarity"} <= listed.keys()
    assert {**listed, "audio_url": None} == {name: whole[name] for name in listed} | {"audio_url": None}


def test_no_address_is_listed_for_who_asked_for_none(ann: Caller) -> None:
    ann.translate(options={"return_audio_url": False})
    (listed,) = ann.get().json()["jobs"]
    assert (listed["status"], listed["audio_url"]) == ("completed", None)


def test_pages_hold_each_job_once_though_others_come_and_go(ann: Caller, bob: Caller) -> None:
    made = [ann.translate() for _ in range(7)]
    bob.translate()
    newest_first = made[::-1]
    first = ann.get(limit=3).json()
    seen = [job["job_id"] for job in first["jobs"]]
    ann.translate()  # comes before the first page
    assert ann.http.delete(f"/api/v1/voice/job/{seen[-1]}", headers=ann.headers).status_code == 204  # at the cursor
    second = ann.get(limit=3, cursor=first["next_cursor"]).json()
    seen += [job["job_id"] for job in second["jobs"]]
    last = ann.get(limit=3, cursor=second["next_cursor"]).json()
    seen += [job["job_id"] for job in last["jobs"]]
    assert seen == newest_first
    assert last["next_cursor"] is None


def test_a_page_that_ends_with_the_last_job_has_no_next(ann: Caller) -> None:
    assert ann.get().json() == {"jobs": [], "next_cursor": None}
    for _ in range(4):
        ann.translate()
    first = ann.get(limit=2)
    last = ann.get(limit=2, cursor=first.json()["next_cursor"])
    assert (len(last.json()["jobs"]), last.json()["next_cursor"]) == (2, None)
    assert "link" in first.headers
    assert "link" not in last.headers


def test_the_link_header_leads_through_all_pages_with_the_same_filter(ann: Caller) -> None:
    made = []
    for _ in range(5):
        made.append(ann.translate())
        ann.translate_in_vain()
    answer = ann.get(limit=2, status="completed")
    seen = [job["job_id"] for job in answer.json()["jobs"]]
    while "next" in answer.links:
        address = answer.links["next"]["url"]
        assert urlsplit(address).netloc == urlsplit(str(ann.http.base_url)).netloc
        answer = ann.get(address)
        seen += [job["job_id"] for job in answer.json()["jobs"]]
    assert seen == made[::-1]


def test_states_may_be_chosen(ann: Caller) -> None:
    done = ann.translate()
    ann.translate_in_vain()
    (failed,) = ann.get(status="failed").json()["jobs"]
    assert failed["error"]["code"] == "translation_unavailable"
    assert ann.ids(status="completed") == [done]
    assert ann.ids(status=["completed", "failed"]) == ann.ids() == [failed["job_id"], done]
    assert ann.ids(status=["pending", "processing"]) == []


def test_a_wrong_field_is_named(ann: Caller) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cursor": ""}, "cursor"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "x" * 5_000}, "cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"2.1795230296154087.job").decode()}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": ["completed", "done"]}, "status.1"),
    ]
    for query, field in wrong:
        answer = ann.get(**query)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), query
        assert [error["field"] for error in answer.json()["errors"]] == [field]
        assert answer.json()["detail"].startswith(field)
