"""Stand-ins for stores, through the ports: dictionaries."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from src.domain.consent import Challenge, Consent
from src.domain.errors import (
    EngineUnavailable,
    IdempotencyConflict,
    IdempotencyMismatch,
    NotFound,
    Overloaded,
    RateLimited,
    VoiceServiceError,
)
from src.domain.identity import Revocation
from src.domain.jobs import AuditEvent, DailyUsage, Job, JobStatus, Stage, UsageEvent, VoiceProfile, now
from src.domain.leases import Leased
from src.domain.repositories import Claim


@dataclass
class MemoryJobs:
    """First come, first served; `expired` holds the ids of jobs whose lease has run out."""

    rows: dict[str, Job] = field(default_factory=dict)
    usage: list[UsageEvent] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    away: int = 0  # so many calls of `finish` find no database

    async def add(self, job: Job, most_waiting: int, most_of_user: int | None = None) -> None:
        if (await self.counts())[0] >= most_waiting:
            raise Overloaded("The line is full.")
        of_user = [each for each in self._with(JobStatus.PENDING) if each.user_id == job.user_id]
        if most_of_user is not None and len(of_user) >= most_of_user:
            raise RateLimited("The user's part of the line is full.")
        self.rows[job.id] = job

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        job = self.rows.get(job_id)
        if job is None or user_id not in (None, job.user_id):
            raise NotFound(f"There is no job {job_id}.")
        return job

    async def claim(self, lease_seconds: float, *, begun_below: int | None = None) -> Job | None:
        waiting = sorted(self._with(JobStatus.PENDING), key=lambda job: job.priority)
        waiting = [job for job in waiting if begun_below is None or job.attempts < begun_below]
        return self._lease(waiting[0], attempts=waiting[0].attempts + 1) if waiting else None

    async def save_stage(self, job: Job, stage: Stage) -> None:
        if self._is_ours(job):
            self.rows[job.id] = replace(self.rows[job.id], stage=stage)
            self.stages.append(stage)

    async def finish(self, job: Job, usage: UsageEvent) -> bool:
        if self.away:
            self.away -= 1
            raise EngineUnavailable("The database does not answer.")
        if not self._is_ours(job) or self.rows[job.id].ended:
            return False
        self.rows[job.id] = job
        self.usage.append(usage)
        return True

    async def give_back(self, job: Job) -> None:
        if self._is_ours(job):
            self.rows[job.id] = replace(job, status=JobStatus.PENDING, attempts=job.attempts - 1)

    async def request_cancel(self, job_id: str) -> None:
        if job_id in self.rows and not self.rows[job_id].ended:
            self.rows[job_id] = replace(self.rows[job_id], cancel_requested=True)

    async def requeue_expired(self, max_attempts: int) -> list[str]:
        found = [job.id for job in self._expired() if job.attempts < max_attempts]
        for job_id in found:
            self.rows[job_id] = replace(self.rows[job_id], status=JobStatus.PENDING)
        return found

    async def claim_spent(self, max_attempts: int, lease_seconds: float) -> list[Job]:
        return [self._lease(job) for job in self._expired() if job.attempts >= max_attempts]

    async def counts(self) -> tuple[int, int]:
        return len(self._with(JobStatus.PENDING)), len(self._with(JobStatus.PROCESSING))

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        limit = now() - timedelta(seconds=seconds_ago)
        return [job for job in self.rows.values() if job.ended and job.updated_at <= limit]

    async def delete(self, job_id: str) -> None:
        self.rows.pop(job_id, None)

    async def is_erased(self, job_id: str) -> bool:
        return False

    def _with(self, status: JobStatus) -> list[Job]:
        return [job for job in self.rows.values() if job.status is status]

    def _expired(self) -> list[Job]:
        return [job for job in self._with(JobStatus.PROCESSING) if job.id in self.expired]

    def _is_ours(self, job: Job) -> bool:
        return job.id in self.rows and self.rows[job.id].fence == job.fence

    def _lease(self, job: Job, **changes: Any) -> Job:
        leased = replace(job, status=JobStatus.PROCESSING, fence=job.fence + 1, **changes)
        self.rows[job.id] = leased
        return leased


@dataclass
class HandedLeases:
    """Leases that hold until the test takes them away."""

    lost: dict[str, Callable[[], object]] = field(default_factory=dict)

    @contextmanager
    def held(self, job: Leased, lost: Callable[[], object]) -> Iterator[None]:
        self.lost[job.id] = lost
        try:
            yield
        finally:
            self.lost.pop(job.id, None)


@dataclass
class MemoryPlans:
    """`planned`: paths that are to be erased at some time."""

    planned: set[str] = field(default_factory=set)

    async def plan(
        self, paths: Collection[str], owner: str, profile_id: str | None, seconds: float, *, since: datetime
    ) -> None:
        self.planned |= set(paths)

    async def erased(self, paths: Collection[str]) -> None:
        self.planned -= set(paths)


@dataclass
class MemoryProfiles(MemoryPlans):
    rows: dict[str, VoiceProfile] = field(default_factory=dict)

    async def save(self, profile: VoiceProfile, replaced: VoiceProfile | None = None, *, planned: bool = False) -> None:
        if replaced is not None and replaced.id not in self.rows:
            raise NotFound(f"There is no profile {profile.id}.")
        self.rows[profile.id] = profile

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        profile = self.rows.get(profile_id)
        if profile is None or profile.user_id != user_id:
            raise NotFound(f"There is no profile {profile_id}.")
        return profile

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        return [profile for profile in self.rows.values() if profile.user_id == user_id]

    async def add_consent(self, profile_id: str, user_id: str, consent: Consent, *, instead_of: str) -> None:
        profile = await self.get(profile_id, user_id)
        if profile.consent is None or profile.consent.id != instead_of:
            raise NotFound("Replaced.")
        self.rows[profile_id] = replace(profile, consent=consent)

    async def rename(self, profile_id: str, user_id: str, name: str) -> None:
        self.rows[profile_id] = replace(await self.get(profile_id, user_id), name=name)


@dataclass
class MemoryChallenges:
    open: dict[str, Challenge] = field(default_factory=dict)

    async def add(self, challenge: Challenge, most_per_user: int) -> None:
        if len(self.open) >= most_per_user:
            raise RateLimited("Too many.")
        self.open[challenge.id] = challenge

    async def take(self, challenge_id: str, user_id: str) -> Challenge:
        if challenge_id not in self.open or self.open[challenge_id].user_id != user_id:
            raise NotFound("There is no such challenge.")
        return self.open.pop(challenge_id)


@dataclass
class MemoryUsage:
    events: list[UsageEvent] = field(default_factory=list)

    async def add(self, event: UsageEvent) -> None:
        self.events.append(event)

    async def forget_older_than(self, seconds: float) -> int:
        return 0

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        raise NotImplementedError("the database's sums are tested on the database")


@dataclass
class MemoryStorage:
    files: dict[str, bytes] = field(default_factory=dict)

    async def put(self, key: str, data: bytes) -> None:
        self.files[key] = data

    async def get(self, key: str) -> bytes:
        if key not in self.files:
            raise NotFound(f"There is no file {key}.")
        return self.files[key]

    async def delete(self, key: str) -> None:
        self.files.pop(key, None)

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int:
        if older_than_seconds:
            return 0
        found = [key for key in self.files if key.startswith(f"{prefix}/")]
        for key in found:
            del self.files[key]
        return len(found)

    async def erase(self, path: str) -> None:
        if path.endswith("/"):
            await self.delete_under(path[:-1])
        else:
            await self.delete(path)

    async def pages_under(self, prefix: str, older_than_seconds: float = 0.0) -> AsyncIterator[list[str]]:
        yield [key for key in self.files if key.startswith(f"{prefix}/")]

    def notices(self) -> tuple[str, ...]:
        return ()

    def url(self, key: str) -> str:
        return f"/audio/{key}"

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        return await self.get(key)


@dataclass
class MemoryIdempotency:
    """`lost`: another took over what is claimed now. `error`: what every renewal and release raises."""

    claim_seconds: float = 60.0
    claims: dict[tuple[str, str], tuple[Claim, str | None]] = field(default_factory=dict)
    renewals: int = 0
    lost: bool = False
    error: VoiceServiceError | None = None

    async def claim(self, claim: Claim) -> str | None:
        first, value = self.claims.setdefault((claim.user_id, claim.key), (claim, None))
        if first.fingerprint != claim.fingerprint:
            raise IdempotencyMismatch("Another body.")
        if value is None and first != claim:
            raise IdempotencyConflict("In flight.")
        return value

    async def renew(self, claim: Claim) -> bool:
        self.renewals += 1
        if self.error is not None:
            raise self.error
        return not self.lost

    async def complete(self, claim: Claim, value: str) -> None:
        if self.lost:
            raise IdempotencyConflict("Taken over.")
        self.claims[claim.user_id, claim.key] = (claim, value)

    async def release(self, claim: Claim) -> None:
        if self.error is not None:
            raise self.error
        self.claims.pop((claim.user_id, claim.key), None)


@dataclass
class MemoryRevocations:
    """`error`: what every question raises."""

    kept: dict[str, Revocation] = field(default_factory=dict)
    error: VoiceServiceError | None = None
    asked: int = 0

    async def add(self, revocation: Revocation) -> None:
        self.kept[revocation.subject] = revocation

    async def of(self, subjects: Sequence[str]) -> list[Revocation]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [self.kept[subject] for subject in subjects if subject in self.kept]


@dataclass
class MemoryAuditLog:
    events: list[AuditEvent] = field(default_factory=list)
    forgotten: list[float] = field(default_factory=list)  # what it was asked to forget
    error: VoiceServiceError | None = None

    async def add(self, event: AuditEvent) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)

    async def forget_older_than(self, seconds: float) -> int:
        self.forgotten.append(seconds)
        return 0


@dataclass
class ListQueue:
    """Keeps what it is told."""

    ids: list[str] = field(default_factory=list)

    async def put(self, job_id: str) -> None:
        self.ids.append(job_id)


@dataclass
class DictCache:
    """`owners`: of the keys that have one."""

    values: dict[str, bytes] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    async def get(self, key: str, owner: str = "") -> bytes | None:
        return self.values.get(key) if self.owners.get(key, "") == owner else None

    async def set(self, key: str, value: bytes, ttl_seconds: float, owner: str = "") -> None:
        self.values[key], self.owners[key] = value, owner

    async def delete(self, key: str, owner: str = "") -> None:
        if self.owners.get(key, "") == owner:
            self.values.pop(key, None)

    async def forget(self, owner: str) -> None:
        for key in [key for key in self.values if self.owners[key] == owner]:
            del self.values[key]

    async def forget_here(self, owner: str | None = None) -> None:
        if owner is None:
            self.values.clear()
        else:
            await self.forget(owner)
