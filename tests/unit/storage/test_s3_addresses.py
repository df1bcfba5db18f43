"""What is signed in addresses of S3 and of a CDN. The test endpoint accepts any signature: here they are checked."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from src.adapters.storage.s3_addresses import Addresses, cloudfront, load_private_key, plain, presigned
from src.adapters.storage.s3_calls import S3Calls, S3Options

KEY_ID, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "eu-west-1"
CDN = "https://d111111abcdef8.cloudfront.net"


async def _addresses(**options: str) -> Addresses:
    calls = S3Calls(
        S3Options("recordings", region=REGION, access_key_id=KEY_ID, secret_access_key=SECRET, **options)  # type: ignore[arg-type]
    )
    try:
        _, signer = await calls.start()
        return presigned(signer, "recordings", 600)
    finally:
        await calls.close()


@pytest.fixture
async def addresses() -> Addresses:
    return await _addresses()


def _signature(host: str, path: str, query: dict[str, str]) -> str:
    """Signature version 4 of a GET, as Amazon's documentation describes it for query parameters."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    canonical_query = "&".join(f"{name}={value}" for name, value in pairs)
    canonical = f"GET\n{path}\n{canonical_query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    stamp, day = query["X-Amz-Date"], query["X-Amz-Date"][:8]
    scope = f"{day}/{REGION}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


async def test_everything_that_matters_is_signed(addresses: Addresses) -> None:
    parts = urlsplit(addresses("voice/results/a.wav"))
    query = dict(parse_qsl(parts.query))
    assert (parts.scheme, parts.path) == ("https", "/voice/results/a.wav")
    assert parts.netloc in (f"recordings.s3.{REGION}.amazonaws.com", "recordings.s3.amazonaws.com")
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "600"
    assert query["X-Amz-SignedHeaders"] == "host"
    assert query["X-Amz-Credential"].startswith(f"{KEY_ID}/")
    assert query["response-content-type"] == "audio/wav"
    assert query["response-cache-control"] == "private, max-age=600"
    signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(time.time() - signed.timestamp()) < 60
    signature = query.pop("X-Amz-Signature")
    assert signature == _signature(parts.netloc, parts.path, query)
    assert SECRET not in addresses("voice/results/a.wav")


async def test_addresses_name_the_endpoint_that_callers_reach() -> None:
    addresses = await _addresses(
        endpoint_url="http://store.internal:9000", public_endpoint_url="https://audio.example.org"
    )
    parts = urlsplit(addresses("results/a.wav"))
    query = dict(parse_qsl(parts.query))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "audio.example.org", "/recordings/results/a.wav")
    assert query.pop("X-Amz-Signature") == _signature("audio.example.org", parts.path, query)


async def test_files_that_are_no_audio_are_not_called_audio(addresses: Addresses) -> None:
    assert "response-content-type=application%2Foctet-stream" in addresses("embeddings/a.voice")


def test_a_plain_cdn_address_is_base_and_key() -> None:
    assert plain(CDN)("voice/results/a.wav") == f"{CDN}/voice/results/a.wav"


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_a_signed_cdn_address_holds_for_its_file_and_time(private_key: rsa.RSAPrivateKey) -> None:
    url = cloudfront(CDN, "K2JCJMDEHXQW5F", private_key, 600, clock=lambda: 1_800_000_000.7)("results/a.wav")
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{CDN}/results/a.wav"
    assert query["Expires"] == "1800000600"
    assert query["Key-Pair-Id"] == "K2JCJMDEHXQW5F"
    statement = {
        "Resource": f"{CDN}/results/a.wav",
        "Condition": {"DateLessThan": {"AWS:EpochTime": 1_800_000_600}},
    }
    policy = json.dumps({"Statement": [statement]}, separators=(",", ":")).encode()
    signature = base64.b64decode(query["Signature"].translate(str.maketrans("-_~", "+=/")))
    private_key.public_key().verify(signature, policy, PKCS1v15(), SHA1())  # noqa: S303


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_the_private_key_is_read_from_its_file(tmp_path: Path, private_key: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(_pem(private_key))
    assert load_private_key(path).private_numbers() == private_key.private_numbers()


@pytest.mark.parametrize("content", [b"", b"no key", _pem(ec.generate_private_key(ec.SECP256R1()))])
def test_what_is_no_rsa_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"key\.pem"):
        load_private_key(path)
    with pytest.raises(ValueError, match=r"other\.pem"):
        load_private_key(tmp_path / "other.pem")
