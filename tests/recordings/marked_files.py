"""Files with the marks of synthetic speech, and certificates to sign them with."""

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from src.adapters.provenance.c2pa_signing import C2paSigner
from src.adapters.provenance.certificates import SigningIdentity, load_identity, make_self_signed
from src.adapters.provenance.riff_info import info_fields, with_info
from src.domain.audio import Audio
from src.domain.provenance import MarkedFile, Trust
from src.utils.audio import encode_wav

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
FIELDS = info_fields("voice-translation 1", "2026-11-21")
SPOKEN = Audio(np.random.default_rng(1).normal(0, 0.1, 6000).astype(np.float32), 24_000)


@lru_cache
def identity() -> SigningIdentity:
    """One that the service made for itself."""
    pem = make_self_signed()
    return load_identity(pem, pem, self_signed=True)


def signer(of: SigningIdentity) -> C2paSigner:
    return C2paSigner(of, software="voice-translation", version="1")


def trust(own: SigningIdentity | None = None, anchors: str = "") -> Trust:
    own = own or identity()
    return Trust(own.anchor, own.serial_number, anchors)


@lru_cache
def marked(audio: Audio = SPOKEN) -> MarkedFile:
    """As the service answers, but for a watermark."""
    return signer(identity()).sign_now(with_info(encode_wav(audio), FIELDS), AT)


def issued(
    key: Key,
    days: float = 365,
    begins_in_days: float = -2,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> tuple[bytes, bytes]:
    """PEM of a certificate and of the authority that issued it, as an operator buys them; and of its key."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("Authority", "Authority", authority_key, authority_key, days + 1, -3)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = _certificate("Operator", "Authority", key, authority_key, days, begins_in_days)
    leaf = leaf.add_extension(_usage(), critical=True)
    if usage is not None:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    chain = [each.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM) for each in (leaf, authority)]
    return b"".join(chain), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: str, issuer: str, key: Key, issuer_key: ec.EllipticCurvePrivateKey, days: float, begins_in_days: float
) -> x509.CertificateBuilder:
    present = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(present + timedelta(days=begins_in_days))
        .not_valid_after(present + timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage() -> x509.KeyUsage:
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign")
    return x509.KeyUsage(
        digital_signature=True, **dict.fromkeys((*unused, "crl_sign", "encipher_only", "decipher_only"), False)
    )


def mutated(file: bytes, dice: random.Random) -> bytes:
    """Mostly behind the sound, where the marks are."""
    data = bytearray(file)
    for _ in range(dice.choice((1, 1, 2, 8, 40))):
        if len(data) < 64:
            break
        sound_ends = min(file.index(b"LIST"), len(data) - 1)
        place = dice.randrange(0 if dice.random() < 0.1 else sound_ends, len(data))
        match dice.randrange(5):
            case 0:
                data[place] = dice.randrange(256)
            case 1:
                data[place : place + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 2:
                del data[place : place + dice.randrange(1, 200)]
            case 3:
                data[place:place] = data[place : place + dice.randrange(1, 200)]
            case _:
                del data[max(place, 60) :]
    return bytes(data)
