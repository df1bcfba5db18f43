"""What routes do with bodies before they hand them on: audio out of base64, and claims on idempotency keys."""

import asyncio
import hashlib

from src.domain.errors import about
from src.domain.identity import Identity
from src.domain.repositories import Claim
from src.utils.audio import decode_base64

MAX_AUDIO_BYTES = 50_000_000
"""After base64."""


async def decode_audio(encoded: str) -> bytes:
    """In a thread, so that other callers do not wait for it."""
    return await asyncio.to_thread(decode_base64, encoded, MAX_AUDIO_BYTES)


async def decode_all(field: str, encoded: list[str]) -> tuple[bytes, ...]:
    recordings = []
    for index, each in enumerate(encoded):
        with about(f"{field}[{index}]"):
            recordings.append(await decode_audio(each))
    return tuple(recordings)


async def claim_of(
    caller: Identity, key: str | None, operation: str, asked: object, recordings: tuple[bytes, ...]
) -> Claim | None:
    """The caller's claim on its Idempotency-Key; None where it gave none."""
    if key is None:
        return None
    return Claim(caller.user_id, key, await asyncio.to_thread(fingerprint_of, operation, asked, recordings))


def fingerprint_of(operation: str, asked: object, recordings: tuple[bytes, ...]) -> str:
    """What makes two requests the same."""
    total = hashlib.sha256(f"{operation} {asked!r}".encode())
    for recording in recordings:
        total.update(hashlib.sha256(recording).digest())
    return total.hexdigest()
