"""Tokens of tests, signed with `cryptography` and `hmac` alone, so that they may hold what no library would write."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SECRET = "a secret of at least thirty-two bytes"
ISSUER, AUDIENCE = "https://issuer.example.org", "voice"

NO_LIMITS: dict[str, Any] = {
    "rate_limit_translations_per_minute": 0,
    "rate_limit_requests_per_minute": 0,
    "rate_limit_audio_seconds_per_day": 0,
    "max_concurrent_requests_per_user": 0,
    "max_waiting_jobs_per_user": 0,
}
"""Settings of a service that asks for tokens, where a test is about something else."""

WITH_TOKENS: dict[str, Any] = {
    "auth_mode": "jwt",
    "jwt_secret": SECRET,
    "jwt_issuer": ISSUER,
    "jwt_audience": AUDIENCE,
    **NO_LIMITS,
}
"""Settings of a service that believes `hs256()`."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """What an issuer signs with. `kid` None: its tokens do not name a key."""

    algorithm: str
    sign: Callable[[bytes], bytes]
    kid: str | None = None

    def token(self, claims: dict[str, Any] | bytes, /, **header: Any) -> str:
        """`header` replaces members of the usual one, or adds to it; Ellipsis leaves one out."""
        usual = {"alg": self.algorithm, "typ": "JWT"} | ({"kid": self.kid} if self.kid is not None else {})
        members = {name: value for name, value in {**usual, **header}.items() if value is not Ellipsis}
        return self.raw(
            json.dumps(members).encode(), claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        )

    def raw(self, header: bytes, claims: bytes) -> str:
        text = f"{base64url(header)}.{base64url(claims)}"
        return f"{text}.{base64url(self.sign(text.encode()))}"


def hs256(secret: bytes = SECRET.encode(), kid: str | None = None, algorithm: str = "HS256") -> Signer:
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return Signer(algorithm, lambda text: hmac.new(secret, text, digest).digest(), kid)


def with_key(key: PrivateKey, kid: str | None = None) -> Signer:
    """RS256 or ES256, by the key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return Signer("RS256", lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256()), kid)

    def sign(text: bytes) -> bytes:
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(size) + s.to_bytes(size)

    return Signer("ES256", sign, kid)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def public_der(key: PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_jwk(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """As an issuer publishes it; `members` as in `Signer.token`."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        jwk = {"kty": "RSA", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
    else:
        point = public.public_numbers()
        jwk = {"kty": "EC", "alg": "ES256", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}
    return {name: value for name, value in {"use": "sig", **jwk, **members}.items() if value is not Ellipsis}


def _number(value: int, size: int | None = None) -> str:
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8))


def claims(subject: str = "ann", scope: str = "voice", **changes: Any) -> dict[str, Any]:
    """Of a good token that outlives a run of all tests; `changes` as in `Signer.token`."""
    now = int(time.time())
    good = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600, "scope": scope}
    return {name: value for name, value in {**good, **changes}.items() if value is not Ellipsis}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def as_user(subject: str, scope: str = "voice", **changes: Any) -> dict[str, str]:
    """Headers with a token that a service `WITH_TOKENS` believes."""
    return bearer(hs256().token(claims(subject, scope, **changes)))
