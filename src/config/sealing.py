"""The setting of what seals stored files; `Settings` has it among its own."""

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings

PLAIN = "plain"
"""Stands among the keys while files from before the first key are read as they are."""

_BYTES = 32


def storage_keys(text: str) -> tuple[tuple[bytes, ...], bool]:
    """The keys, and whether `plain` is among them; commas, spaces or lines are between them.

    Raises ValueError, without a key in it.
    """
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    keys = tuple(dict.fromkeys(_key(part) for part in parts if part != PLAIN))
    if not keys:
        raise ValueError("It has no key.")
    return keys, PLAIN in parts


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise ValueError("A key is not base64.") from None
    if len(key) != _BYTES:
        raise ValueError(f"A key is base64 of {_BYTES} bytes, as scripts/rotate_keys.py --new-key makes them.")
    return key


def _readable(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        storage_keys(value.get_secret_value())
    return value


class SealingSettings(BaseSettings):
    """See `Settings`."""

    storage_keys: Annotated[SecretStr | None, AfterValidator(_readable)] = None
    """Seal stored audio and voices (AES-256-GCM): base64 of 32 bytes each, comma-separated. The first seals, all open;
    `plain` among them also reads what nobody sealed. None: with STORAGE=local a key is made once and kept in
    `data_dir`, but not where DATABASE_URL is Postgres: that start is refused; with STORAGE=s3 nothing is sealed."""
