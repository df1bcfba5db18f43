"""Settings of who may call that would let in whom nobody meant, and what is said of them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from src.bootstrap.access import build_access
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable, Forbidden
from tests.support.tokens import NO_LIMITS, private_pem, public_pem, rsa_key

SECRET = "a secret of at least thirty-two bytes"
NAMES = {"jwt_issuer": "us", "jwt_audience": "voice"}
JWT = {"auth_mode": "jwt", **NAMES}
KEY = rsa_key()


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"host": "0.0.0.0"}, "AUTH_OFF_ANYWHERE=yes"),
        ({"host": "::"}, "AUTH_OFF_ANYWHERE=yes"),
        ({"host": "voice.example.org"}, "AUTH_OFF_ANYWHERE=yes"),
        (JWT, "there is none of them"),
        ({**JWT, "jwt_secret": SECRET, "jwt_jwks_url": "https://id/jwks"}, "there is JWT_SECRET and JWT_JWKS_URL"),
        ({**JWT, "jwt_secret": SECRET, "jwt_public_key_file": "key.pem"}, "JWT_SECRET and JWT_PUBLIC_KEY_FILE"),
        ({**JWT, "jwt_public_key_file": "key.pem", "jwt_jwks_url": "https://id/jwks"}, "exactly one"),
        ({**JWT, "jwt_secret": ""}, "at least 32 bytes"),
        ({**JWT, "jwt_secret": "x" * 31}, "at least 32 bytes"),
        ({**JWT, "jwt_secret": public_pem(KEY).decode()}, "JWT_PUBLIC_KEY_FILE instead"),
        ({**JWT, "jwt_secret": SECRET, "jwt_issuer": ""}, "JWT_ISSUER and JWT_AUDIENCE"),
        ({**JWT, "jwt_secret": SECRET, "jwt_audience": None}, "JWT_ISSUER and JWT_AUDIENCE"),
        ({"jwt_jwks_url": "http://issuer.example.org/jwks"}, "http:// is for loopback"),
        ({"jwt_jwks_url": "http://127.0.0.1.example.org/jwks"}, "http:// is for loopback"),
        ({"jwt_jwks_url": "http://127.0.0.1@example.org/jwks"}, "http:// is for loopback"),
        ({"jwt_jwks_url": "file:///etc/jwks"}, "https://"),
        ({"jwt_jwks_url": "https:///jwks"}, "https://"),
        ({"jwt_jwks_url": "https://a:b@id/jwks"}, "no password"),
        ({"jwt_jwks_url": "https://id:port/jwks"}, "not an address"),
    ],
)
def test_what_is_unsafe_is_refused_with_the_reason(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**values)
    messages = " ".join(str(error["msg"]) for error in refused.value.errors())
    assert reason in messages
    assert SECRET not in messages


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_without_tokens_on_loopback_nothing_is_said(host: str) -> None:
    access = build_access(settings(host=host))
    assert (access.verifier, access.notices(), dict(access.checks())) == (None, (), {})


def test_without_tokens_on_loopback_only_this_machine_may_call() -> None:
    rebound = {"type": "http", "headers": [(b"host", b"rebound.example")], "server": ("127.0.0.1", 8000)}
    here = build_access(settings(public_base_url="https://voice.example/api")).loopback_only
    assert here is not None
    with pytest.raises(Forbidden):
        here.require(rebound)
    here.require({**rebound, "headers": [(b"host", b"voice.example")]})
    assert build_access(settings(host="0.0.0.0", auth_off_anywhere="yes")).loopback_only is None


async def test_without_tokens_elsewhere_it_is_said_where_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    access = build_access(settings(host="0.0.0.0", auth_off_anywhere="yes"))
    async with access.running():
        (notice,) = access.notices()
    assert "AUTH_MODE=off and HOST=0.0.0.0" in notice
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", notice)]


@pytest.mark.parametrize(
    "url", ["https://id/jwks", "http://127.0.0.1:1/jwks", "http://localhost/", "http://[::1]/jwks"]
)
def test_an_issuer_is_reached_over_tls_or_on_this_machine(url: str) -> None:
    access = build_access(settings(**JWT, jwt_jwks_url=url))
    assert access.verifier is not None
    assert set(access.checks()) == {"token_keys"}


def test_a_public_key_is_read_and_a_private_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem(KEY))
    assert build_access(settings(**JWT, jwt_public_key_file=path)).verifier is not None
    path.write_bytes(private_pem(KEY))
    with pytest.raises(EngineUnavailable, match="JWT_PUBLIC_KEY_FILE: it holds a private key"):
        build_access(settings(**JWT, jwt_public_key_file=path))


def test_auth_mode_jwt_brings_limits_unless_they_are_set_to_zero() -> None:
    tokens = {**JWT, "jwt_secret": SECRET}
    usual = {
        "rate_limit_translations_per_minute": 10,
        "rate_limit_requests_per_minute": 100,
        "rate_limit_audio_seconds_per_day": 3600,
        "max_concurrent_requests_per_user": 8,
        "max_waiting_jobs_per_user": 20,
    }
    assert settings(**tokens).model_dump(include=set(usual)) == usual
    for free in (settings(), settings(**tokens, **NO_LIMITS)):
        assert free.model_dump(include=set(usual)) == NO_LIMITS
    assert settings(rate_limit_requests_per_minute=7).rate_limit_requests_per_minute == 7
