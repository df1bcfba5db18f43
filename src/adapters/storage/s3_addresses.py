"""Addresses under which a caller fetches a file: signed by S3's rules, or those of a CDN before the bucket."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from src.domain.audio import AnswerFormat

Addresses = Callable[[str], str]
"""From an object's key in the bucket to an absolute address."""

_CONTENT_TYPES = {"m4a": "audio/mp4", **{kind.value: kind.media_type for kind in AnswerFormat}}


def content_type(key: str) -> str:
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")


def presigned(signer: Any, bucket: str, ttl_seconds: int) -> Addresses:
    """Addresses of `signer`'s endpoint with an AWS4-HMAC-SHA256 signature in the query. Signing uses no network."""

    def address(key: str) -> str:
        wanted = {
            "Bucket": bucket,
            "Key": key,
            "ResponseContentType": content_type(key),
            "ResponseCacheControl": f"private, max-age={ttl_seconds}",
        }
        signed: str = signer.generate_presigned_url("get_object", Params=wanted, ExpiresIn=ttl_seconds)
        return signed

    return address


def plain(base_url: str) -> Addresses:
    """Addresses that do not expire, of a CDN that anybody may read: a file is protected by its random key alone."""
    return lambda key: f"{base_url}/{key}"


def cloudfront(
    base_url: str,
    key_pair_id: str,
    private_key: RSAPrivateKey,
    ttl_seconds: int,
    clock: Callable[[], float] = time.time,
) -> Addresses:
    """Addresses with `Expires`, `Signature` and `Key-Pair-Id`, as CloudFront and those that imitate it check them."""

    def sign(message: bytes) -> bytes:
        return private_key.sign(message, PKCS1v15(), SHA1())  # noqa: S303 - CloudFront takes no other hash with RSA

    signer = CloudFrontSigner(key_pair_id, sign)

    def address(key: str) -> str:
        until = datetime.fromtimestamp(int(clock()) + ttl_seconds, UTC)
        signed: str = signer.generate_presigned_url(f"{base_url}/{key}", date_less_than=until)
        return signed

    return address


def load_private_key(path: Path) -> RSAPrivateKey:
    """An RSA key in PEM without a password. Raises ValueError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a private key in PEM without a password.") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path} is not an RSA key, which CloudFront's signed addresses need.")  # noqa: TRY004
    return key
