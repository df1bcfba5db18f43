"""How values of settings are written, and which are refused. No message quotes a value: it may be a secret."""

import base64
import binascii
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

PLAIN = "plain"
"""Stands among the storage keys while files from before the first key are read as they are."""

_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[0-9]{1,5})?")
_LEAST_SECRET_LENGTH = 32
_STORAGE_KEY_BYTES = 32
_SIGNING_PREFIX = "whsec_"
_SIGNING_KEY_BYTES = range(24, 65)


def is_loopback(host: str) -> bool:
    """Whether only this machine is behind it. A name other than localhost may be anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def signing_keys(secrets: str) -> tuple[bytes, ...]:
    """The keys of one secret, or of several with spaces or commas between them, as Standard Webhooks writes them.

    Raises ValueError, without the secret, for what is none.
    """
    keys = tuple(_signing_key(secret) for secret in re.split(r"[\s,]+", secrets.strip()))
    return tuple(dict.fromkeys(keys))


def storage_keys(text: str) -> tuple[tuple[bytes, ...], bool]:
    """The keys, and whether `plain` is among them; commas, spaces or lines are between them.

    Raises ValueError, without a key in it.
    """
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    keys = tuple(dict.fromkeys(_storage_key(part) for part in parts if part != PLAIN))
    if not keys:
        raise ValueError("It has no key.")
    return keys, PLAIN in parts


def _signing_key(secret: str) -> bytes:
    if not secret.startswith(_SIGNING_PREFIX):
        raise ValueError("A secret begins with whsec_.")
    try:
        key = base64.b64decode(secret.removeprefix(_SIGNING_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("What follows whsec_ is not base64.") from None
    if len(key) not in _SIGNING_KEY_BYTES:
        least, most = _SIGNING_KEY_BYTES.start, _SIGNING_KEY_BYTES.stop - 1
        raise ValueError(f"What follows whsec_ is base64 of {least} to {most} bytes.")
    return key


def _storage_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise ValueError("A key is not base64.") from None
    if len(key) != _STORAGE_KEY_BYTES:
        raise ValueError(
            f"A key is base64 of {_STORAGE_KEY_BYTES} bytes, as scripts/rotate_keys.py --new-key makes them."
        )
    return key


def _check_signing_keys(value: SecretStr) -> SecretStr:
    signing_keys(value.get_secret_value())
    return value


def _check_storage_keys(value: SecretStr) -> SecretStr:
    storage_keys(value.get_secret_value())
    return value


def _check_length(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _LEAST_SECRET_LENGTH:
        raise ValueError(f"It needs at least {_LEAST_SECRET_LENGTH} characters.")
    return value


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_networks(values: list[str]) -> list[str]:
    for value in values:
        ip_network(value)
    return values


def _check_origins(values: list[str]) -> list[str]:
    for value in values:
        if value != "*" and not _ORIGIN.fullmatch(value):
            raise ValueError(f"{value!r} is no origin: scheme://host or scheme://host:port, in lower case, no path.")
    return values


def _check_moderation_engines(values: list[str]) -> list[str]:
    engines = ("words", "webhook")
    if not values or len(set(values)) < len(values) or not set(values) <= set(engines):
        raise ValueError(f"It names each once of {', '.join(engines)}.")
    return values


def _check_http(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("It begins with http:// or https://.")
    return value


def _check_issuer(value: str) -> str:
    """Whoever can change what is fetched from there can make tokens: so only over TLS, or from this machine."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("It is not an address of a web server.") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("It begins with https://.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("It begins with https://; http:// is for loopback addresses only.")
    if parts.username is not None or parts.fragment:
        raise ValueError("It has no user name, no password and no fragment.")
    return value


def _check_redis(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("It begins with redis://, rediss:// or unix://.")
    try:
        urlsplit(url).port  # noqa: B018 - reading it parses it
    except ValueError:
        raise ValueError("Its port is not a number up to 65535.") from None  # the other message quotes the address
    return value


def _check_readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"The file cannot be read: {error.strerror}.") from None


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Networks = Annotated[CommaList, AfterValidator(_check_networks)]
Origins = Annotated[CommaList, AfterValidator(_check_origins)]
ModerationEngines = Annotated[CommaList, AfterValidator(_check_moderation_engines)]
HttpAddress = Annotated[str, AfterValidator(_check_http)]
BaseAddress = Annotated[HttpAddress, AfterValidator(lambda value: value.rstrip("/"))]
IssuerAddress = Annotated[str, AfterValidator(_check_issuer)]
RedisAddress = Annotated[SecretStr, AfterValidator(_check_redis)]
LongSecret = Annotated[SecretStr, AfterValidator(_check_length)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing_keys)]
StorageKeys = Annotated[SecretStr, AfterValidator(_check_storage_keys)]
ReadableFile = Annotated[Path, AfterValidator(_check_readable)]
