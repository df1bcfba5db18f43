"""A stand-in for the database's deletions, over the stand-ins for jobs and profiles."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from src.domain.accounts import Deletion, DeletionKind
from src.domain.jobs import now
from tests.fakes.fake_stores import MemoryJobs, MemoryPlans, MemoryProfiles


@dataclass
class MemoryDeletions(MemoryPlans):
    """`listed`: paths, each with its passes, by deletion. `rowless`: files that no row refers to."""

    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    profiles: MemoryProfiles = field(default_factory=MemoryProfiles)
    settle_seconds: float = 3600.0
    open: dict[str, Deletion] = field(default_factory=dict)
    listed: dict[str, dict[str, int]] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    rowless: set[str] = field(default_factory=set)

    async def request(self, kind: DeletionKind, subject: str, owner: str, by: str) -> Deletion:
        jobs = {
            DeletionKind.JOB: [subject] if subject in self.jobs.rows else [],
            DeletionKind.PROFILE: [
                job.id for job in self.jobs.rows.values() if job.request.voice_profile_id == subject
            ],
            DeletionKind.USER: [job.id for job in self.jobs.rows.values() if job.user_id == owner],
        }[kind]
        paths = {f"clones/{subject}/": 0} if kind is DeletionKind.PROFILE else {}
        if kind is DeletionKind.PROFILE:
            profile = await self.profiles.get(subject, owner)
            paths |= dict.fromkeys((profile.embedding_path, *profile.audio_paths), 0)
            del self.profiles.rows[subject]
        if kind is DeletionKind.JOB:
            await self.jobs.get(subject, owner)
        for job_id in jobs:
            job = self.jobs.rows.pop(job_id)
            paths |= {job.input_key: 0, f"results/{job.id}/": 0}
        settles_at = now() + timedelta(seconds=self.settle_seconds)
        deletion = Deletion(uuid4().hex, kind, subject, owner, now(), settles_at, 1, tuple(jobs))
        self.open[deletion.id], self.listed[deletion.id] = deletion, paths
        return deletion

    async def open_owners(self) -> list[str]:
        return [deletion.owner for deletion in self.open.values()]

    async def claim(self) -> Deletion | None:
        due = [self.open[deletion_id] for deletion_id in self.due & set(self.open)]
        self.due.clear()
        return due[0] if due else None

    async def paths(self, deletion: Deletion, passes: int, most: int) -> list[str]:
        return sorted(path for path, done in self.listed[deletion.id].items() if done < passes)[:most]

    async def passed(self, deletion: Deletion, paths: Sequence[str]) -> None:
        for path in paths:
            self.listed[deletion.id][path] += 1

    async def settle(self, deletion: Deletion) -> None:
        self.due.add(deletion.id)

    async def finish(self, deletion: Deletion) -> None:
        del self.open[deletion.id], self.listed[deletion.id]

    async def due_paths(self, most: int) -> list[str]:
        return []

    async def without_row(self, keys: Sequence[str]) -> list[str]:
        return [key for key in keys if key in self.rowless]

    async def expire(self) -> int:
        return 0
