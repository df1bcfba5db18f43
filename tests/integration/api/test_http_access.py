"""Who may see what, and how often, over HTTP with tokens and limits switched on."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jwt
from pydantic import SecretStr, ValidationError

from src.bootstrap.engines import Engines
from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeTranslator, FakeVoice

SECRET = "a secret of at least thirty-two bytes"
AUDIO = base64.b64encode(b"any bytes").decode()
BODY = {"audio": AUDIO, "target_language": "es", "source_language": "en"}
PROFILE = {
    "reference_audio": AUDIO,
    "consent": {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"},
}


def _token(subject: str, scope: str = "voice", secret: str = SECRET) -> dict[str, str]:
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iss": "us", "aud": "voice", "iat": now, "exp": now + 60, "scope": scope}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        auth_mode="jwt",
        jwt_secret=SecretStr(SECRET),
        jwt_issuer="us",
        jwt_audience="voice",
        min_reference_seconds=0.5,
        rate_limit_translations_per_minute=3,
    )
    engines = Engines(FakeDecoder(), FakeTranscriber(), (FakeTranslator(),), FakeVoice(), FakeAnalyzer(), runners={})
    with serving(create_app(settings, engines)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def _is(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_without_a_valid_token_there_is_only_the_outside(http: httpx.Client) -> None:
    _is(http.post("/api/v1/voice/translate", json=BODY), 401, "unauthenticated")
    _is(http.get("/api/v1/usage", headers=_token("ann", secret="x" * 40)), 401, "unauthenticated")
    assert http.get("/health/live").status_code == 200
    assert http.get("/").status_code == 200


def test_a_users_things_are_not_there_for_another(http: httpx.Client) -> None:
    ann, bob = _token("ann"), _token("bob")
    job = http.post("/api/v1/voice/translate", json=BODY, headers=ann).json()
    profile = http.post("/api/v1/voice/profile", json=PROFILE, headers=ann).json()["profile_id"]
    for method, path in (
        ("GET", f"/api/v1/voice/job/{job['job_id']}"),
        ("GET", f"/api/v1/voice/translate/{job['job_id']}"),
        ("DELETE", f"/api/v1/voice/job/{job['job_id']}"),
        ("GET", f"/api/v1/voice/profile/{profile}"),
        ("DELETE", f"/api/v1/voice/profile/{profile}"),
    ):
        _is(http.request(method, path, headers=bob), 404, "not_found")
    _is(http.post("/api/v1/voice/translate", json=BODY | {"voice_profile_id": profile}, headers=bob), 404, "not_found")
    _is(http.post("/api/v1/voice/profile", json=PROFILE | {"profile_id": profile}, headers=bob), 404, "not_found")
    assert http.get("/api/v1/voice/profiles", headers=bob).json() == {"profiles": []}
    assert http.get("/api/v1/usage", headers=bob).json()["days"] == []
    assert http.get(f"/api/v1/voice/job/{job['job_id']}", headers=ann).json()["status"] == "completed"


def test_only_the_service_scope_may_name_another_user(http: httpx.Client) -> None:
    body = PROFILE | {"user_id": "ann"}
    _is(http.post("/api/v1/voice/profile", json=body, headers=_token("bob")), 403, "forbidden")
    gateway = _token("gateway", "voice voice:service")
    assert http.post("/api/v1/voice/profile", json=body, headers=gateway).json()["user_id"] == "ann"
    assert len(http.get("/api/v1/voice/profiles", headers=_token("ann")).json()["profiles"]) == 1


def test_the_fourth_translation_in_a_minute_is_told_when_to_come_back(http: httpx.Client) -> None:
    answers = [http.post("/api/v1/voice/translate", json=BODY, headers=_token("ann")) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    _is(answers[-1], 429, "rate_limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    for name in ("ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"):
        assert name in answers[-1].headers
    assert http.post("/api/v1/voice/translate", json=BODY, headers=_token("bob")).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"auth_mode": "jwt"},
        {"auth_mode": "jwt", "jwt_secret": "short", "jwt_issuer": "us", "jwt_audience": "voice"},
        {"auth_mode": "jwt", "jwt_secret": SECRET},
    ],
)
def test_unsafe_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **wrong)
