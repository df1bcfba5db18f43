"""What a service leaves in Redis when it has done one of everything: under its prefix, and for a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engines import serve
from tests.servers.redis import RedisServer
from tests.support.messages import CONSENT
from tests.support.options import applied
from tests.support.tokens import WITH_TOKENS, as_user

VOICE = "/api/v1/voice"
LONGEST_SECONDS = 24 * 3600
"""A translation is kept for a day; nothing else for as long."""


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A busy machine is not taken for a Redis that is away."""
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 2.0}}):
        yield


LIMITS = {"rate_limit_translations_per_minute": 50, "rate_limit_requests_per_minute": 500}


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
    settings = {**WITH_TOKENS, **LIMITS, "redis_url": redis_server.url, "min_reference_seconds": 0.5}
    with serve(tmp_path, **settings) as http:
        http.headers.update(as_user("ann@example.org", jti="t-1"))
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
