"""`Idempotency-Key` over HTTP: the same answer again, and no work twice, at everything that creates something."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeVoice, Gate
from tests.support import messages

OTHER = base64.b64encode(b"other bytes").decode()
TRANSLATE = ("translate", messages.MESSAGE)
CLONE = ("clone", {"text": "Good morning.", "target_language": "es", "reference_audio": messages.AUDIO})
PROFILE = ("profile", messages.PROFILE)
ALL = pytest.mark.parametrize(("operation", "body"), [TRANSLATE, CLONE, PROFILE], ids=["translate", "clone", "profile"])


@dataclass
class Service:
    http: httpx.Client
    voice: FakeVoice

    def post(self, operation: str, body: dict[str, Any], key: str | None = "key") -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.http.post(f"/api/v1/voice/{operation}", json=body, headers=headers)

    def profiles(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/api/v1/voice/profiles").json()["profiles"]
        return found

    @property
    def work(self) -> int:
        """How often the voice engine was asked for something."""
        return self.voice.conditioned + len(self.voice.requests)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    voice = FakeVoice()
    with serve(tmp_path / "data", fake_engines(voice=voice), min_reference_seconds=0.5) as http:
        yield Service(http, voice)


def _problem(response: httpx.Response, status: int, code: str) -> str:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    return str(problem["detail"])


def _without_signature(answer: dict[str, Any]) -> dict[str, Any]:
    """An `audio_url` is signed anew each time."""
    return {**answer, "audio_url": str(answer.get("audio_url")).partition("?")[0]}


@ALL
def test_the_same_request_gets_the_same_answer_and_no_work_is_done(
    service: Service, operation: str, body: dict[str, Any]
) -> None:
    first = service.post(operation, body)
    assert first.status_code == 200
    work = service.work
    second = service.post(operation, body)
    assert second.status_code == 200
    assert _without_signature(second.json()) == _without_signature(first.json())
    assert service.work == work


@ALL
def test_another_body_is_refused_and_another_key_is_another_request(
    service: Service, operation: str, body: dict[str, Any]
) -> None:
    assert service.post(operation, body).status_code == 200
    sound = "audio" if "audio" in body else "reference_audio"
    _problem(service.post(operation, body | {sound: OTHER}), 422, "idempotency_key_reused")
    work = service.work
    assert service.post(operation, body, "another").status_code == 200
    assert service.work > work


@ALL
def test_a_request_that_failed_may_be_sent_again_with_its_key(
    service: Service, operation: str, body: dict[str, Any]
) -> None:
    service.voice.too_short, service.voice.has_own_voice = True, False
    _problem(service.post(operation, body), 422, "reference_too_short")
    service.voice.too_short = False
    again = service.post(operation, body)
    if operation == "translate":  # there the key has made a job, and its failure is the answer
        _problem(again, 422, "reference_too_short")
    else:
        assert again.status_code == 200


def test_one_key_is_not_for_two_operations(service: Service) -> None:
    assert service.post(*PROFILE).status_code == 200
    _problem(service.post(*CLONE), 422, "idempotency_key_reused")
    _problem(service.post(*TRANSLATE), 422, "idempotency_key_reused")


@pytest.mark.parametrize(("operation", "body"), [CLONE, PROFILE], ids=["clone", "profile"])
def test_while_the_first_is_at_work_others_are_told_to_come_back(
    service: Service, operation: str, body: dict[str, Any]
) -> None:
    service.voice.learning = Gate()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.post, operation, body)
        while not service.voice.learning.inside:
            assert not first.done()
        refused = service.post(operation, body)
        _problem(refused, 409, "idempotency_key_in_flight")
        assert int(refused.headers["retry-after"]) >= 1
        service.voice.learning.opened.set()
        assert first.result(60).status_code == 200
    again = service.post(operation, body)
    assert _without_signature(again.json()) == _without_signature(first.result().json())


@ALL
def test_of_20_at_once_one_does_the_work_and_all_end_with_its_answer(
    service: Service, operation: str, body: dict[str, Any]
) -> None:
    def ask(_: int) -> httpx.Response:
        while (answer := service.post(operation, body)).status_code in (409, 503):
            assert answer.json()["retryable"]
            time.sleep(0.05)
        return answer

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({str(_without_signature(answer.json())) for answer in answers}) == 1
    assert service.voice.conditioned == 1
    assert len(service.voice.said) == len(set(service.voice.said))  # each sentence once
    assert bool(service.voice.said) == (operation != "profile")
    assert len(service.profiles()) == (operation == "profile")


def test_a_profile_that_was_deleted_since_is_not_found(service: Service) -> None:
    made = service.post(*PROFILE).json()["profile_id"]
    assert service.http.delete(f"/api/v1/voice/profile/{made}").status_code == 204
    _problem(service.post(*PROFILE), 404, "not_found")
    assert service.profiles() == []


def test_a_clone_whose_audio_was_erased_says_so(service: Service) -> None:
    profile = service.post(*PROFILE, key=None).json()["profile_id"]
    body = {"text": "Good morning.", "target_language": "es", "voice_profile_id": profile}
    assert service.post("clone", body).status_code == 200
    service.http.delete(f"/api/v1/voice/profile/{profile}")
    assert "new key" in _problem(service.post("clone", body), 404, "not_found")
