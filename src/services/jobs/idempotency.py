"""Work that is done once, however often its request arrives with the same Idempotency-Key."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from src.domain.errors import IdempotencyConflict, VoiceServiceError
from src.domain.repositories import Claim, IdempotencyStore

logger = logging.getLogger(__name__)

T = TypeVar("T")

_RENEWALS_PER_LEASE = 3


async def run_once(
    store: IdempotencyStore,
    claim: Claim | None,
    make: Callable[[], Awaitable[T]],
    keep: Callable[[T], str],
    again: Callable[[str], Awaitable[T]],
) -> T:
    """What `make` returns at the first request with this key, and what `again` makes of its kept text at later ones.

    claim  None: the caller gave no key
    keep   the short text that `again` needs; it holds no words and no audio
    again  raises NotFound when what was made is gone

    Work that fails frees the key. Raises IdempotencyConflict while the first is at work, or when this one lost the
    claim, as after a long absence of the database; IdempotencyMismatch when the first asked for something else.
    """
    if claim is None:
        return await make()
    expires_at = asyncio.get_running_loop().time() + store.claim_seconds
    first = await store.claim(claim)
    if first is not None:
        return await again(first)
    try:
        async with _held(store, claim, expires_at):
            made = await make()
        await store.complete(claim, keep(made))
    except BaseException:
        await _release(store, claim)
        raise
    return made


@asynccontextmanager
async def _held(store: IdempotencyStore, claim: Claim, expires_at: float) -> AsyncIterator[None]:
    """Renew the claim while the work inside goes on, and end the work when it is lost: another may be doing it."""
    try:
        async with asyncio.timeout_at(expires_at) as limit:
            renewing = asyncio.create_task(_renew(store, claim, limit))
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
    except TimeoutError:
        if not limit.expired():
            raise
        raise IdempotencyConflict(
            "The service lost its hold on this Idempotency-Key. Send the request again with the same key.",
            retry_after_seconds=1.0,
        ) from None


async def _renew(store: IdempotencyStore, claim: Claim, limit: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(store.claim_seconds / _RENEWALS_PER_LEASE)
        asked_at = loop.time()
        try:
            held = await store.renew(claim)
        except VoiceServiceError:
            continue  # the claim stands until `limit`; the next renewal may be answered
        if not limit.expired():
            limit.reschedule(asked_at + store.claim_seconds if held else asked_at)
        if not held:
            return


async def _release(store: IdempotencyStore, claim: Claim) -> None:
    try:
        await store.release(claim)
    except VoiceServiceError:
        logger.warning("an idempotency key whose work failed was not released: its claim expires")
