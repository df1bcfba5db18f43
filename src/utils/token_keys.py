"""Keys that tokens are verified with, read strictly. Each belongs to one algorithm, whatever a token says.

What is not such a key raises UnusableKey.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jose.backends.base import Key
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey
from jose.backends.native import HMACKey
from jose.exceptions import JOSEError

Algorithm = Literal["HS256", "RS256", "ES256"]

_MIN_SECRET_BYTES = 32
_RSA_BITS = range(2048, 8193)
"""The upper bound keeps a check cheap."""
_MAX_FILE_BYTES = 64 * 1024
_MAX_KID_CHARACTERS = 200
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,2048}")


class UnusableKey(ValueError):
    """The message is for the operator, and has nothing of the key."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """`key` is python-jose's: given a text or a mapping, it would guess what kind of key that is."""

    algorithm: Algorithm
    key: Key


def secret_key(secret: str) -> TokenKey:
    """HS256."""
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        raise UnusableKey(f"the token secret needs at least {_MIN_SECRET_BYTES} bytes")
    try:
        return TokenKey("HS256", HMACKey(secret, "HS256"))
    except JOSEError:
        raise UnusableKey("the token secret is an asymmetric key or a certificate") from None


def public_key_file(path: Path) -> TokenKey:
    """RS256 or ES256, by the kind of the one public key in a PEM file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnusableKey(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise UnusableKey(f"{path} is too large for a key")
    return public_key(content)


def public_key(pem: bytes) -> TokenKey:
    """As `public_key_file`, from the file's content."""
    kinds = re.findall(rb"-----BEGIN ([A-Z0-9 ]+)-----", pem)
    if not kinds:
        raise UnusableKey("it is not PEM; for DER: openssl pkey -pubin -inform DER -in FILE -out FILE.pem")
    if any(kind.endswith(b"PRIVATE KEY") for kind in kinds):
        raise UnusableKey("it holds a private key, which belongs to the issuer alone: openssl pkey -in FILE -pubout")
    if len(kinds) > 1:
        raise UnusableKey("it holds more than one key: for keys that change there is JWT_JWKS_URL")
    if b"CERTIFICATE" in kinds[0]:
        raise UnusableKey("it holds a certificate and not a key: openssl x509 -in FILE -pubkey -noout")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("what it holds cannot be read as a public key") from None
    return _asymmetric(key)


def keys_of_set(document: object, most: int) -> tuple[dict[str, TokenKey], list[str]]:
    """Of a JSON Web Key Set (RFC 7517): the keys that can be used, by `kid`, and why each of the others cannot be.

    Of two with the same `kid` the first. Raises UnusableKey for what is no such set, or has more than `most` keys.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise UnusableKey("it is no JSON Web Key Set")
    if len(listed) > most:
        raise UnusableKey(f"it has {len(listed)} keys; at most {most} are taken")
    keys: dict[str, TokenKey] = {}
    refused = []
    for index, item in enumerate(listed):
        try:
            kid, key = _listed_key(item)
        except ValueError as error:
            refused.append(f"key {index + 1}: {error}")
        else:
            if keys.setdefault(kid, key) is not key:
                refused.append(f"key {index + 1}: an earlier one has the same `kid`")
    return keys, refused


def _listed_key(jwk: object) -> tuple[str, TokenKey]:
    """Raises ValueError."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") not in ("RSA", "EC"):
        raise UnusableKey("its `kty` is neither RSA nor EC")
    kid, algorithm = jwk.get("kid"), "RS256" if jwk["kty"] == "RSA" else "ES256"
    if not isinstance(kid, str) or not 1 <= len(kid) <= _MAX_KID_CHARACTERS:
        raise UnusableKey("it has no `kid` of 1 to 200 characters")
    if jwk.get("use") != "sig" or jwk.get("alg", algorithm) != algorithm:
        raise UnusableKey(f"its `use` is not `sig`, or its `alg` not {algorithm}")
    if "d" in jwk:
        raise UnusableKey("it is a private key, and everybody can read it there")
    if algorithm == "RS256":
        return kid, _asymmetric(rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key())
    if jwk.get("crv") != "P-256":
        raise UnusableKey("its curve is not P-256")
    point = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), ec.SECP256R1())
    return kid, _asymmetric(point.public_key())


def _asymmetric(key: Any) -> TokenKey:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise UnusableKey(
                f"its RSA key has {key.key_size} bits; {_RSA_BITS.start} to {_RSA_BITS.stop - 1} are taken"
            )
        return TokenKey("RS256", CryptographyRSAKey(key, "RS256"))
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise UnusableKey(f"its key is on the curve {key.curve.name}; only P-256 is taken")
        return TokenKey("ES256", CryptographyECKey(key, "ES256"))
    raise UnusableKey("its key is neither RSA nor EC")


def _number(jwk: Mapping[str, Any], name: str) -> int:
    text = jwk.get(name)
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise UnusableKey(f"`{name}` is not a number in base64url")
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except binascii.Error:
        raise UnusableKey(f"`{name}` is not a number in base64url") from None
