"""Stand-ins for stores, through the ports: dictionaries."""

from dataclasses import dataclass, field
from datetime import timedelta

from src.domain.errors import IdempotencyConflict, IdempotencyMismatch, NotFound, Overloaded
from src.domain.jobs import DailyUsage, Job, JobStatus, UsageEvent, VoiceProfile, now


@dataclass
class MemoryJobs:
    rows: dict[str, Job] = field(default_factory=dict)
    history: list[tuple[str, JobStatus, str | None]] = field(default_factory=list)

    async def add(self, job: Job) -> None:
        self.rows[job.id] = job

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        job = self.rows.get(job_id)
        if job is None or user_id not in (None, job.user_id):
            raise NotFound(f"There is no job {job_id}.")
        return job

    async def save(self, job: Job) -> bool:
        if job.id not in self.rows:
            return False
        self.rows[job.id] = job
        self.history.append((job.id, job.status, job.stage))
        return True

    async def with_status(self, *statuses: JobStatus) -> list[Job]:
        return [job for job in self.rows.values() if job.status in statuses]

    async def with_profile(self, profile_id: str) -> list[Job]:
        return [job for job in self.rows.values() if job.request.voice_profile_id == profile_id]

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        limit = now() - timedelta(seconds=seconds_ago)
        return [job for job in self.rows.values() if job.ended and job.updated_at <= limit]

    async def delete(self, job_id: str) -> None:
        self.rows.pop(job_id, None)


@dataclass
class MemoryProfiles:
    rows: dict[str, VoiceProfile] = field(default_factory=dict)

    async def save(self, profile: VoiceProfile) -> None:
        self.rows[profile.id] = profile

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        profile = self.rows.get(profile_id)
        if profile is None or profile.user_id != user_id:
            raise NotFound(f"There is no profile {profile_id}.")
        return profile

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        return [profile for profile in self.rows.values() if profile.user_id == user_id]

    async def delete(self, profile_id: str) -> None:
        self.rows.pop(profile_id, None)


@dataclass
class MemoryUsage:
    events: list[UsageEvent] = field(default_factory=list)

    async def add(self, event: UsageEvent) -> None:
        self.events.append(event)

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

    def url(self, key: str) -> str:
        return f"/audio/{key}"

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        return await self.get(key)


@dataclass
class MemoryIdempotency:
    claims: dict[tuple[str, str], tuple[str, str | None]] = field(default_factory=dict)

    async def claim(self, user_id: str, key: str, fingerprint: str) -> str | None:
        claimed = self.claims.get((user_id, key))
        if claimed is None:
            self.claims[user_id, key] = (fingerprint, None)
            return None
        if claimed[0] != fingerprint:
            raise IdempotencyMismatch("Another body.")
        if claimed[1] is None:
            raise IdempotencyConflict("In flight.")
        return claimed[1]

    async def complete(self, user_id: str, key: str, value: str) -> None:
        self.claims[user_id, key] = (self.claims[user_id, key][0], value)

    async def release(self, user_id: str, key: str) -> None:
        self.claims.pop((user_id, key), None)


@dataclass
class ListQueue:
    max_size: int = 100
    ids: list[str] = field(default_factory=list)

    def put(self, job_id: str, user_id: str) -> None:
        if len(self.ids) >= self.max_size:
            raise Overloaded("The queue is full.")
        self.ids.append(job_id)

    async def take(self) -> str:
        return self.ids.pop(0)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class DictCache:
    values: dict[str, bytes] = field(default_factory=dict)

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)
