"""The settings of callbacks; `Settings` has them among its own."""

import base64
import binascii
import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings

from src.config.values import CommaList

_PREFIX = "whsec_"
_BYTES = range(24, 65)


def signing_keys(secrets: str) -> tuple[bytes, ...]:
    """The keys of one secret, or of several with spaces or commas between them.

    Raises ValueError, without the secret, for what is none.
    """
    keys = tuple(_key(secret) for secret in re.split(r"[\s,]+", secrets.strip()))
    return tuple(dict.fromkeys(keys))


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        raise ValueError("A secret begins with whsec_.")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("What follows whsec_ is not base64.") from None
    if len(key) not in _BYTES:
        raise ValueError(f"What follows whsec_ is base64 of {_BYTES.start} to {_BYTES.stop - 1} bytes.")
    return key


def _webhook_secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        signing_keys(value.get_secret_value())
    return value


def _networks(value: list[str]) -> list[str]:
    for network in value:
        ip_network(network)
    return value


class CallbackSettings(BaseSettings):
    """See `Settings`."""

    webhook_secret: Annotated[SecretStr | None, AfterValidator(_webhook_secret)] = None
    """Signs callbacks as Standard Webhooks does: `whsec_` and base64 of 24 to 64 bytes. While receivers change from one
    secret to the next: both, with a space or comma between. None: no `callback_url` is accepted."""
    callback_allow_http: bool = False
    """Whether a `callback_url` may begin with http://."""
    callback_allowed_networks: Annotated[CommaList, AfterValidator(_networks)] = []
    """Networks (comma-separated, as 10.1.0.0/16) that callbacks may go to besides the public internet."""
