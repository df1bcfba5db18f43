"""The spoken challenge as a stranger meets it: real recogniser, real speaker model, voices of flite, over HTTP.

The rules that need no voice are in test_http_consent.py and tests/unit/profiles/test_verification.py.
"""

import base64
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.recordings import audio_files

SPEAKER, OTHER = "rms", "slt"
STATEMENT = "I agree that my voice is cloned."


def spoken(text: str, voice: str = SPEAKER) -> str:
    return base64.b64encode(audio_files.encode(audio_files.speech(16_000, text, voice), 16_000)).decode()


class User:
    """Somebody whom nobody has seen before, at a service that may act for all."""

    def __init__(self, http: httpx.Client) -> None:
        self.id = f"user-{uuid4().hex}"
        self._http = http

    def post(self, path: str, **body: object) -> httpx.Response:
        return self._http.post(path, json=body | {"user_id": self.id})

    def challenge(self, **body: object) -> dict[str, Any]:
        answer = self.post("/profile/challenge", **body)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def save(self, verification: dict[str, str] | None = None) -> httpx.Response:
        return self.post(
            "/profile",
            reference_audio=spoken(audio_files.SENTENCE),
            consent={"given": True, "statement": STATEMENT, "recorded_at": "2025-11-21T10:00:00Z"},
            verification=verification,
        )


@pytest.fixture
def user(live_server: str) -> Any:
    with httpx.Client(base_url=f"{live_server}/api/v1/voice", timeout=100) as http:
        yield User(http)


def refused(answer: httpx.Response, status: int, code: str, said: str) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert said in problem["detail"].lower()


def recorded(made: dict[str, Any], text: str | None = None, voice: str = SPEAKER) -> dict[str, str]:
    return {"challenge_id": made["challenge_id"], "audio": spoken(text or made["sentence"], voice)}


def test_the_right_words_in_the_right_voice_verify_a_profile_and_nothing_does_so_twice(user: User) -> None:
    made = user.challenge()
    assert made["language"] == "en"
    answer = recorded(made)
    saved = user.save(answer)
    assert saved.status_code == 200, saved.text
    profile = saved.json()
    assert profile["verified"] is True
    assert profile["consent"]["method"] == "spoken_challenge"
    assert profile["verified_at"] == profile["consent"]["received_at"]
    refused(user.save(answer), 404, "not_found", "challenge")
    # a recording of before is no answer to the next challenge, either
    replayed = answer | {"challenge_id": user.challenge()["challenge_id"]}
    refused(user.save(replayed), 422, "verification_failed", "the words are not")


def test_a_profile_that_is_there_is_verified_later_and_another_voice_uses_the_challenge_up(user: User) -> None:
    saved = user.save().json()
    assert saved["verified"] is False
    path = f"/profile/{saved['profile_id']}/verification"
    made = user.challenge()
    refused(user.post(path, **recorded(made, voice=OTHER)), 422, "verification_failed", "the voice is not")
    refused(user.post(path, **recorded(made)), 404, "not_found", "challenge")
    verified = user.post(path, **recorded(user.challenge()))
    assert verified.status_code == 200, verified.text
    assert verified.json()["verified"] is True
    assert verified.json()["consent"]["statement"] == STATEMENT
