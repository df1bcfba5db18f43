"""The certificate that answers are signed with: the operator's, or one that the service makes for itself."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAST_DAYS = 7
"""A certificate that ends sooner is refused at the start: a service runs for weeks."""

_SELF_SIGNED_DAYS = 3650
_SELF_SIGNED_NAME = "Voice translation service, self-signed"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """A key with its certificate. `chain`: PEM, the key's certificate first. `anchor`: PEM of the last of the chain."""

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str
    name: str
    serial_number: int
    anchor: str
    expires_at: datetime
    self_signed: bool


def make_self_signed() -> bytes:
    """PEM of a new certificate, of the authority that issued it, and of its key. The authority's key is forgotten, so
    that it never signs another one.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    serial = secrets.token_hex(4)
    issuer, subject = _name(f"Authority {serial}"), _name(f"Service {serial}")
    authority = _builder(issuer, issuer, authority_key, authority_key, authority=True)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # one of those that C2PA asks for
    leaf = _builder(subject, issuer, key, authority_key, authority=False).add_extension(usage, critical=False)
    signed = [each.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM) for each in (leaf, authority)]
    return b"".join(signed) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_identity(chain_pem: bytes, key_pem: bytes, *, self_signed: bool = False) -> SigningIdentity:
    """Raises ValueError, with what to do, for anything that could not sign for a week to come."""
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError:
        raise ValueError("There is no PEM certificate in it, or a damaged one.") from None
    key = _load_key(key_pem)
    leaf = chain[0]
    _check(chain, key)
    return SigningIdentity(
        chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        algorithm=_algorithm(key),
        name=_called(leaf.subject),
        serial_number=leaf.serial_number,
        anchor=chain[-1].public_bytes(Encoding.PEM).decode(),
        expires_at=min(each.not_valid_after_utc for each in chain),
        self_signed=self_signed,
    )


def _load_key(pem: bytes) -> _PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("The private key has a password: give one without.") from None
    except ValueError:
        raise ValueError("The private key is not PEM, or damaged.") from None
    if not isinstance(key, _PrivateKey):
        raise ValueError(  # noqa: TRY004 - it is about a file, like the others
            "The private key is not of a kind that C2PA signs with: EC, RSA or Ed25519."
        )
    return key


def _algorithm(key: _PrivateKey) -> str:
    """As C2PA calls it. Raises ValueError."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < 2048:
            raise ValueError("The RSA key has fewer than 2048 bits.")
        return "ps256"
    if key.curve.name not in _CURVES:
        raise ValueError(f"C2PA does not sign with the curve {key.curve.name}.")
    return _CURVES[key.curve.name]


def _check(chain: list[x509.Certificate], key: _PrivateKey) -> None:
    leaf = chain[0]
    if _public(leaf.public_key()) != _public(key.public_key()):
        raise ValueError("The private key is not that of the first certificate: the key's own comes first.")
    for issued, issuer in pairwise(chain):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise ValueError("Each certificate must be issued by the one after it.") from None
    present = datetime.now(UTC)
    for each in chain:
        _check_time(each, present)


def _check_time(certificate: x509.Certificate, present: datetime) -> None:
    ends = certificate.not_valid_after_utc
    if certificate.not_valid_before_utc > present:
        raise ValueError(f"The certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.")
    if ends <= present:
        raise ValueError(f"The certificate expired on {ends:%Y-%m-%d}.")
    if ends - present < timedelta(days=LEAST_DAYS):
        raise ValueError(f"The certificate expires on {ends:%Y-%m-%d}, in less than {LEAST_DAYS} days: renew it.")


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _called(name: x509.Name) -> str:
    """The organisation, else the common name."""
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = name.get_attributes_for_oid(oid)
        if found:
            return str(found[0].value)
    return "unnamed"


def _name(common_name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, _SELF_SIGNED_NAME), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.CertificateBuilder:
    present = datetime.now(UTC)
    usage = {"digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority}
    other = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*other, "encipher_only", "decipher_only"), False)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - timedelta(days=1))  # other clocks may be behind this one
        .not_valid_after(present + timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(**usage, **unused), critical=True)
    )
