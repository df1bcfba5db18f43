"""Good tokens over HTTP, and keys that change. Those that must not count are in tests/security."""

import time
from pathlib import Path

import httpx
import pytest

from tests.attacks.token_matrix import PATH, Target, bearer, targets
from tests.providers.provider_server import Answer
from tests.support.tokens import claims


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_good_tokens_in_all_their_forms(scheme: bytes, tmp_path: Path) -> None:
    """The scheme's case does not count (RFC 9110, 11.1)."""
    now = int(time.time())
    with targets("EC file", tmp_path) as target:
        for changes in (
            {},
            {"aud": ["other", "voice"]},
            {"iat": now + 20},
            {"exp": now - 20},
            {"nbf": now + 20},
            {"iat": now - 0.5, "exp": now + 60.5},
            {"sub": "Zoë→ñ@example.org"},
            {"jti": "an id"},
            {"more": {"any": "thing"}},
        ):
            token = target.signer.token(claims(**changes)).encode()
            assert target.answer([(b"Authorization", scheme + b" " + token)]) == (200, None), changes


def _becomes(target: Target, token: str, status: int) -> None:
    deadline = time.monotonic() + 60
    while (answer := target.answer(bearer(token)))[0] != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def test_keys_change_without_a_restart(tmp_path: Path) -> None:
    with targets("key set", tmp_path, {"ttl_seconds": 0.2, "refetch_seconds": 0.1}) as target:
        issuer = target.issuer
        assert issuer is not None
        first = target.signer.token(claims())
        assert target.takes(first)
        new = issuer.add("new").token(claims())
        _becomes(target, new, 200)
        assert target.takes(first)
        del issuer.keys["current"]
        _becomes(target, first, 401)
        assert target.takes(new)
        issuer.always = Answer(503)
        _becomes(target, issuer.add("newer").token(claims()), 503)
        assert target.takes(new)  # the last keys are believed
        health = target.http.get("/health").json()
        assert health["status"] == "degraded"
        assert "status 503" in " ".join(health["degraded"])
        issuer.always = None
        deadline = time.monotonic() + 60
        while target.http.get("/health").json()["degraded"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_without_any_key_nobody_is_let_in_and_it_is_said(tmp_path: Path) -> None:
    with targets("key set", tmp_path, {"ttl_seconds": 0.1, "stale_seconds": 0}) as target:
        assert target.issuer is not None
        target.issuer.always = Answer(500)
        token = target.signer.token(claims())
        _becomes(target, token, 503)
        refused = httpx.get(f"{target.http.base_url}{PATH}", headers={"Authorization": f"Bearer {token}"})
        assert (refused.json()["code"], "retry-after" in refused.headers) == ("engine_unavailable", True)
        ready = target.http.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["token_keys"]["status"]) == (503, "failing")
        assert target.http.get("/health/live").status_code == 200
        target.issuer.always = None
        _becomes(target, token, 200)
