"""Which keys tokens may be verified with: real ones of each kind, and what each of the others is refused for."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from src.utils.token_keys import UnusableKey, keys_of_set, public_key, public_key_file, secret_key
from tests.support.tokens import ec_key, private_pem, public_der, public_jwk, public_pem, rsa_key

RSA, EC = rsa_key(), ec_key()
P384 = ec.generate_private_key(ec.SECP384R1())
SPKI = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, EC.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(EC, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_the_kind_of_a_public_key_is_its_algorithm() -> None:
    assert public_key(public_pem(RSA)).algorithm == "RS256"
    assert public_key(b"a comment\n" + public_pem(RSA)).algorithm == "RS256"
    assert public_key(public_pem(EC)).algorithm == "ES256"
    pkcs1 = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    assert public_key(pkcs1).algorithm == "RS256"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not PEM"),
        (public_der(RSA), "not PEM"),
        (public_der(EC), "not PEM"),
        (private_pem(RSA), "private key"),
        (private_pem(EC), "private key"),
        (public_pem(RSA) + private_pem(RSA), "private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "private key"),
        (public_pem(RSA) + public_pem(EC), "more than one"),
        (certificate(), "certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
        (public_pem(rsa_key(1024)), "1024 bits"),
        (public_pem(P384), "secp384r1"),
        (ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*SPKI), "neither RSA nor EC"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_other_file_is_refused_with_the_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UnusableKey, match=reason):
        public_key_file(tmp_path / "key.pem")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match="cannot be read: No such file"):
        public_key_file(tmp_path / "none.pem")
    with pytest.raises(UnusableKey, match="cannot be read: Is a directory"):
        public_key_file(tmp_path)
    (tmp_path / "large.pem").write_bytes(public_pem(RSA) + b"x" * 70_000)
    with pytest.raises(UnusableKey, match="too large"):
        public_key_file(tmp_path / "large.pem")


@pytest.mark.parametrize("secret", ["", "x" * 31, public_pem(RSA).decode(), certificate().decode()])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(UnusableKey):
        secret_key(secret)


def test_a_set_gives_its_keys_by_kid() -> None:
    document = {"keys": [public_jwk(RSA, kid="a"), public_jwk(EC, kid="b", alg=..., more=1), public_jwk(RSA, kid="a")]}
    keys, refused = keys_of_set(document, 3)
    assert {kid: key.algorithm for kid, key in keys.items()} == {"a": "RS256", "b": "ES256"}
    assert refused == ["key 3: an earlier one has the same `kid`"]


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "use": "sig", "alg": "HS256"}, "kty"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "a", "use": "sig"}, "kty"),
        ({"kty": ["RSA"], "kid": "a"}, "kty"),
        ("RSA", "kty"),
        (None, "kty"),
        (public_jwk(RSA), "kid"),
        (public_jwk(RSA, kid=""), "kid"),
        (public_jwk(RSA, kid=7), "kid"),
        (public_jwk(RSA, kid="x" * 201), "kid"),
        (public_jwk(RSA, kid="a", use="enc"), "use"),
        (public_jwk(RSA, kid="a", use=...), "use"),
        (public_jwk(RSA, kid="a", alg="HS256"), "alg"),
        (public_jwk(RSA, kid="a", alg="ES256"), "alg"),
        (public_jwk(RSA, kid="a", alg="PS256"), "alg"),
        (public_jwk(RSA, kid="a", alg=["RS256"]), "alg"),
        (public_jwk(EC, kid="a", alg="RS256"), "alg"),
        (public_jwk(RSA, kid="a", d="AQAB"), "private key"),
        (public_jwk(EC, kid="a", d="AQAB"), "private key"),
        (public_jwk(RSA, kid="a", n=...), "`n`"),
        (public_jwk(RSA, kid="a", n=3), "`n`"),
        (public_jwk(RSA, kid="a", n="A"), "`n`"),
        (public_jwk(RSA, kid="a", n="A" * 2049), "`n`"),
        (public_jwk(RSA, kid="a", e="+/"), "`e`"),
        (public_jwk(RSA, kid="a", e="AQ"), ""),
        (public_jwk(rsa_key(1024), kid="a"), "1024 bits"),
        (public_jwk(EC, kid="a", crv="P-384"), "curve"),
        (public_jwk(EC, kid="a", x="AAAA"), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_other_key_of_a_set_is_left_out_with_the_reason(jwk: Any, reason: str) -> None:
    keys, refused = keys_of_set({"keys": [public_jwk(RSA, kid="good"), jwk]}, 2)
    assert list(keys) == ["good"]
    assert len(refused) == 1
    assert refused[0].startswith("key 2: ")
    assert reason in refused[0]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [1, 2, 3]}, "keys"], ids=str)
def test_what_is_no_set_or_too_large_is_refused(document: Any) -> None:
    with pytest.raises(UnusableKey):
        keys_of_set(document, 2)
