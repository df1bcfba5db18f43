"""What is known of the sessions in use: of each token's id and user, the revocation or that there is none.

Not the verified tokens themselves: to check an HS256 signature and the claims takes 15 µs, to ask Redis 77 µs
(medians; Redis on the same machine). What costs a round trip is revocation, so that is what is remembered.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime

from src.adapters.redis.link import PREFIX, RedisDown, RedisLink
from src.domain.identity import Revocation
from src.domain.repositories import Revocations
from src.utils.cache import MemoryCache

logger = logging.getLogger(__name__)

SHARED_SECONDS = 30.0
"""How long Redis is believed before the truth is asked again. A new revocation replaces what it says at once; only
where that did not reach Redis is a revoked token let in for as long as this."""

LOCAL_SECONDS = 5.0
"""How long a process believes what the truth told it, while it has no Redis: the bound there."""

_MEMORY_BYTES = 4 * 2**20
_NOT_REVOKED = b"-"

Known = dict[str, Revocation | None]
"""By subject; None: not revoked."""


@dataclass(eq=False)
class SessionCache:
    """Implements Revocations, before another that is the truth. `link` None: each process remembers for itself."""

    truth: Revocations
    link: RedisLink | None
    _: KW_ONLY
    shared_seconds: float = SHARED_SECONDS
    local_seconds: float = LOCAL_SECONDS
    _memory: MemoryCache = field(default_factory=lambda: MemoryCache(_MEMORY_BYTES), init=False)

    async def add(self, revocation: Revocation) -> None:
        """Every process that asks Redis knows it when this returns."""
        await self.truth.add(revocation)
        await self._remember({revocation.subject: revocation}, replace=True)

    async def of(self, subjects: Sequence[str]) -> list[Revocation]:
        """Raises Unavailable when neither Redis nor the truth can tell."""
        known = await self._known(subjects)
        missing = [subject for subject in subjects if subject not in known]
        if missing:
            found: Known = dict.fromkeys(missing)
            found.update({revocation.subject: revocation for revocation in await self.truth.of(missing)})
            # it was read before it is written, so it must not replace a revocation that came in between
            await self._remember(found, replace=False)
            known |= found
        return [revocation for revocation in known.values() if revocation is not None]

    async def _known(self, subjects: Sequence[str]) -> Known:
        """From Redis alone while it is there: another process's memory does not reach this one."""
        if self.link is not None:
            try:
                async with self.link.use() as redis:
                    values: Iterable[bytes | None] = await redis.mget([_name(subject) for subject in subjects])
            except RedisDown:
                pass
            else:
                return _read(zip(subjects, values, strict=True))
        return _read([(subject, await self._memory.get(subject)) for subject in subjects])

    async def _remember(self, found: Known, *, replace: bool) -> None:
        for subject, revocation in found.items():
            await self._memory.set(subject, _pack(revocation), self.local_seconds)
        if self.link is None:
            return
        try:
            async with self.link.use() as redis, redis.pipeline(transaction=False) as pipeline:
                for subject, revocation in found.items():
                    lifetime = round(self.shared_seconds * 1000)
                    pipeline.set(_name(subject), _pack(revocation), px=lifetime, nx=not replace)
                await pipeline.execute()
        except RedisDown:
            if replace:
                logger.warning("a revocation did not reach Redis: others learn of it in %g s", self.shared_seconds)


def _name(subject: str) -> str:
    """Hashed: a user's name may be an address, and keys are shown by many tools."""
    return f"{PREFIX}:sessions:{hashlib.sha256(subject.encode()).hexdigest()}"


def _pack(revocation: Revocation | None) -> bytes:
    if revocation is None:
        return _NOT_REVOKED
    return f"{revocation.issued_until.timestamp()!r} {revocation.expires_at.timestamp()!r}".encode()


def _read(values: Iterable[tuple[str, bytes | None]]) -> Known:
    """Those that are known; a value that nobody here wrote counts as unknown."""
    known: Known = {}
    for subject, value in values:
        if value == _NOT_REVOKED:
            known[subject] = None
        elif value is not None:
            try:
                issued_until, expires_at = (datetime.fromtimestamp(float(part), UTC) for part in value.split())
            except (ValueError, OverflowError):
                continue
            known[subject] = Revocation(subject, issued_until, expires_at)
    return known
