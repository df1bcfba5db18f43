"""What a service leaves in Redis when it has done one of everything: under its prefix, and for a time."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jwt
from pydantic import SecretStr

from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes.engines import fake_engines
from tests.servers.redis import RedisServer
from tests.support.options import applied

SECRET = "a secret of at least thirty-two bytes"
VOICE = "/api/v1/voice"
CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
LONGEST_SECONDS = 24 * 3600
"""A translation is kept for a day; nothing else for as long."""


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A busy machine is not taken for a Redis that is away."""
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 2.0}}):
        yield


def _settings(folder: Path, redis_url: str) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=folder,
        auth_mode="jwt",
        jwt_secret=SecretStr(SECRET),
        jwt_issuer="us",
        jwt_audience="voice",
        redis_url=SecretStr(redis_url),
        min_reference_seconds=0.5,
        rate_limit_translations_per_minute=50,
        rate_limit_requests_per_minute=500,
    )


def _bearer() -> dict[str, str]:
    now = int(time.time())
    claims = {
        "sub": "ann@example.org",
        "iss": "us",
        "aud": "voice",
        "iat": now,
        "exp": now + 600,
        "jti": "t-1",
        "scope": "voice",
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


def _names(server: RedisServer, pattern: str = "*") -> list[str]:
    with server.client() as redis:
        return sorted(name.decode() for name in redis.scan_iter(pattern))


def _do_one_of_everything(http: httpx.Client) -> str:
    """The id of a profile that was spoken with."""
    reference = {"reference_audio": "AAAA", "consent": CONSENT}
    profile: str = http.post(f"{VOICE}/profile", json=reference).json()["profile_id"]
    message: dict[str, Any] = {"audio": "AAAA", "target_language": "es", "source_language": "en"}
    job = http.post(f"{VOICE}/translate", json=message, headers={"Prefer": "respond-async"}).json()["job_id"]
    assert http.delete(f"{VOICE}/job/{job}").status_code == 204
    spoken = {"text": "Good morning.", "target_language": "es"}
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("translate", message, {}),
        ("translate", message | {"voice_profile_id": profile}, {"Idempotency-Key": "a"}),
        ("translate", message | {"target_language": "fr"}, {"Prefer": "respond-async"}),
        ("transcribe", {"audio": "AAAA"}, {}),
        ("clone", spoken | {"voice_profile_id": profile}, {"Idempotency-Key": "b"}),
        ("clone", spoken | {"reference_audio": "AAAA"}, {}),
    ]
    for operation, body, headers in requests:
        answer = http.post(f"{VOICE}/{operation}", json=body, headers=headers)
        assert answer.status_code in (200, 202), answer.text
    for path in (f"{VOICE}/profiles", f"{VOICE}/profile/{profile}", "/api/v1/languages", "/api/v1/usage", "/health"):
        assert http.get(path).status_code == 200
    return profile


def test_every_key_has_the_prefix_and_a_time_and_a_deleted_voice_is_not_there(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    engines = fake_engines()
    app = create_app(_settings(tmp_path, redis_server.url), engines)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60, headers=_bearer()) as http:
        profile = _do_one_of_everything(http)
        names = _names(redis_server)
        for part in ("cache:translation:", "cache:voice:", "cache:stored-voice:", "rates:", "sessions:"):
            assert any(name.startswith(f"voice-translation:{part}") for name in names), part
        for name in names:
            assert name.startswith("voice-translation:"), name
            assert 0 < redis_server.milliseconds_left(name) <= LONGEST_SECONDS * 1000, name
        for name in _names(redis_server, "*stored-voice*"):
            assert redis_server.milliseconds_left(name) <= 60_000
        assert http.delete(f"{VOICE}/profile/{profile}").status_code == 204
        assert _names(redis_server, "*stored-voice*") == []
