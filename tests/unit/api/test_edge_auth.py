"""Good tokens, and how the edge asks for one. Every way to be wrong is in tests/attacks/token_matrix.py."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from jose import jwt

from src.api.middleware import Edge, is_public
from src.api.middleware.tokens import OneKey, TokenVerifier
from src.domain.errors import Unauthenticated
from src.domain.identity import ALL_SCOPES, Identity, Token
from src.utils.token_keys import secret_key
from tests.support.edge_app import client, edge_app

SECRET = "0123456789abcdef0123456789abcdef"
NOW = int(time.time())
GOOD: dict[str, Any] = {
    "iss": "https://id",
    "aud": "voice",
    "sub": "anna",
    "iat": NOW - 5,
    "exp": NOW + 600,
    "scope": "voice",
}


def verifier(secret: str = SECRET) -> TokenVerifier:
    return TokenVerifier(OneKey(secret_key(secret)), "https://id", "voice", leeway_seconds=10, clock=lambda: float(NOW))


def signed(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, key: bytes = SECRET.encode()) -> str:
    """A token with a right HMAC over whatever is in it, as no library would make it."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.new(key, text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def token(**changes: Any) -> str:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not Ellipsis}
    return signed({"alg": "HS256", "typ": "JWT"}, claims)


async def test_a_good_token_names_its_user_and_scopes() -> None:
    assert await verifier().verify(token(scope="voice voice:service")) == Identity(
        "anna", frozenset({"voice", "voice:service"})
    )
    assert (await verifier().verify(token(aud=["other", "voice"], nbf=NOW))).user_id == "anna"
    assert (await verifier().verify(jwt.encode(GOOD, SECRET, "HS256"))).user_id == "anna"


async def test_leeway_is_kept() -> None:
    assert (await verifier().verify(token(exp=NOW - 9, nbf=NOW + 9, iat=NOW + 9))).user_id == "anna"


async def test_a_token_tells_what_it_can_be_revoked_by() -> None:
    assert (await verifier().verify(token(jti="t-1"))).token == Token("t-1", NOW - 5, GOOD["exp"])
    assert (await verifier().verify(token())).token == Token(None, NOW - 5, GOOD["exp"])


async def test_a_token_that_lives_too_long_is_refused() -> None:
    strict = TokenVerifier(
        OneKey(secret_key(SECRET)), "https://id", "voice", max_lifetime_seconds=605, clock=lambda: float(NOW)
    )
    assert (await strict.verify(token())).user_id == "anna"
    for claims in ({"exp": NOW + 601}, {"iat": NOW - 6}, {"iat": -1e300}, {"exp": 1e300}):
        with pytest.raises(Unauthenticated):
            await strict.verify(token(**claims))


async def test_a_secret_is_never_read_as_a_list_of_keys() -> None:
    secret = json.dumps(["0123456789abcdef", "fedcba9876543210"])
    with pytest.raises(Unauthenticated):
        await verifier(secret).verify(signed({"alg": "HS256"}, GOOD, b"0123456789abcdef"))
    assert (await verifier(secret).verify(signed({"alg": "HS256"}, GOOD, secret.encode()))).user_id == "anna"


@pytest.mark.parametrize(
    ("secret", "issuer", "audience", "leeway"),
    [("", "i", "a", 0), ("x" * 31, "i", "a", 0), (SECRET, "", "a", 0), (SECRET, "i", "", 0), (SECRET, "i", "a", 61)],
)
def test_weak_settings_are_refused(secret: str, issuer: str, audience: str, leeway: float) -> None:
    with pytest.raises(ValueError, match=r"secret|leeway|empty"):
        TokenVerifier(OneKey(secret_key(secret)), issuer, audience, leeway_seconds=leeway)


async def test_over_http_a_token_is_asked_for_but_on_public_paths() -> None:
    app = edge_app(Edge(max_body_bytes=1000, verifier=verifier()))
    async with client(app) as http:
        ok = await http.get("/api/v1/whoami/x", headers={"authorization": f"bearer {token(scope='voice')}"})
        assert (ok.json()["user"], ok.json()["scopes"]) == ("anna", ["voice"])
        for headers in (
            {},
            {"authorization": token()},
            {"authorization": "Bearer "},
            {"authorization": f"Basic {token()}"},
            {"authorization": f"Bearer {token()}x"},
        ):
            refused = await http.get("/api/v1/whoami/x", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            assert refused.headers["www-authenticate"] == "Bearer"
        twice = [("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")]
        assert (await http.get("/api/v1/whoami/x", headers=twice)).status_code == 401
        for path in ("/health/live", "/", "/api/v1/audio/k", "/openapi.json"):
            assert (await http.get(path)).status_code == 200
        assert (await http.get("/api/v1/nothing")).status_code == 401


def test_public_paths_end_at_a_slash() -> None:
    assert all(map(is_public, ("/", "/health", "/health/ready", "/web/app.js", "/api/v1/audio/results/x.wav")))
    assert not any(map(is_public, ("/healthy", "/webhooks", "/api/v1/audios", "/api/v1/voice/translate", "/metrics")))


async def test_without_a_verifier_everyone_is_the_local_user() -> None:
    async with client(edge_app()) as http:
        answer = (await http.get("/api/v1/whoami/x")).json()
    assert (answer["user"], answer["scopes"]) == ("local", sorted(ALL_SCOPES))
