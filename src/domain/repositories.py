"""What is kept in tables: the Protocols that stores of rows fill. What else stands outside is in `ports`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from src.domain.accounts import PlannedErasures
from src.domain.consent import Consent
from src.domain.identity import Revocation
from src.domain.jobs import AuditEvent, DailyUsage, Job, Stage, UsageEvent, VoiceProfile
from src.domain.leases import LeasedRepository


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt to be the request that does the work of a key. `fingerprint` says what is asked: the operation and
    the body. `id` tells two attempts apart: who lost the claim cannot end it for the one who has it now.
    """

    user_id: str
    key: str
    fingerprint: str
    id: str = field(default_factory=lambda: uuid4().hex)


class JobRepository(LeasedRepository[Job], Protocol):
    """The rows are the truth about jobs: who may do one, and what became of it."""

    async def add(self, job: Job, most_waiting: int, most_of_user: int | None = None) -> None:
        """Put it in line: users of the same priority take turns, however many jobs each has waiting.

        Raises Overloaded when `most_waiting` jobs wait already, RateLimited when `most_of_user` of its user do.
        """

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        """Raises NotFound, also when `user_id` is given and the job is another's."""

    async def save_stage(self, job: Job, stage: Stage) -> None:
        """For those who look. Nothing happens when the job is another worker's by now."""

    async def finish(self, job: Job, usage: UsageEvent) -> bool:
        """Write the final state and count the use, both or neither. Repeating it changes nothing.

        False, and nothing is written: the row is gone, has ended otherwise, or was leased to another worker since.
        """

    async def is_erased(self, job_id: str) -> bool:
        """Whether files of a deleted job with this id are still being erased."""

    async def request_cancel(self, job_id: str) -> None:
        """Tell whoever has it, or will have it, that nobody wants it any more."""

    async def counts(self) -> tuple[int, int]:
        """How many wait, and how many are being done."""

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        """Completed and failed jobs last updated that long ago or longer."""


class LeaseRepository(Protocol):
    """What a worker needs to stay the owner of its jobs."""

    async def renew(self, held: Mapping[str, int], lease_seconds: float) -> set[str]:
        """`held`: fences by job id. Extend these leases, also run-out ones that nobody took. The ids that are held."""


class ProfileRepository(PlannedErasures, Protocol):
    async def save(self, profile: VoiceProfile, replaced: VoiceProfile | None = None, *, planned: bool = False) -> None:
        """Insert, or replace the one with the same id. Its consent is added to those before it.

        `replaced`: what is there now; its files are to be erased. `planned`: that the profile's files are to be erased
        was planned, and is called off. Raises NotFound when it is another user's, or was deleted meanwhile.
        """

    async def add_consent(self, profile_id: str, user_id: str, consent: Consent, *, instead_of: str) -> None:
        """Let it be the consent of this profile, in the place of the one with the id `instead_of`, which is kept.

        Raises NotFound: the profile is gone, is another's, or has another consent by now.
        """

    async def rename(self, profile_id: str, user_id: str, name: str) -> None:
        """Raises NotFound."""

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound."""

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        """Newest first."""


class UsageRepository(Protocol):
    async def add(self, event: UsageEvent) -> None:
        """Raises NotFound when the user was deleted since."""

    async def forget_older_than(self, seconds: float) -> int:
        """Delete what is older, and say how many."""

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        """The last `days` days that have any use, newest first."""


class AuditLog(Protocol):
    async def add(self, event: AuditEvent) -> None: ...

    async def forget_older_than(self, seconds: float) -> int:
        """Delete what is older, and say how many."""


class Revocations(Protocol):
    """Tokens that are refused although they have not expired."""

    async def add(self, revocation: Revocation) -> None:
        """Keep it; of two on the same subject the later counts. Raises Unavailable: then it may be kept or not."""

    async def of(self, subjects: Sequence[str]) -> list[Revocation]:
        """Those of any of these subjects. Raises Unavailable when nobody can tell."""


class IdempotencyStore(Protocol):
    """Answers kept under (user, Idempotency-Key) so that a repeated request is answered and not done again."""

    @property
    def claim_seconds(self) -> float:
        """A claim that was not renewed for that long falls to the next request with the key."""

    async def claim(self, claim: Claim) -> str | None:
        """None: the key is now this claim's. A text: what the first request with this key left.

        Raises IdempotencyConflict while the first is at work, IdempotencyMismatch when its fingerprint was another.
        """

    async def renew(self, claim: Claim) -> bool:
        """Whether the key is still this claim's."""

    async def complete(self, claim: Claim, value: str) -> None:
        """Remember `value` for later requests. Raises IdempotencyConflict when the key is another claim's by now."""

    async def release(self, claim: Claim) -> None:
        """Forget a claim whose request failed before it made anything."""
