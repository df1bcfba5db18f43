"""What callers see of their jobs beyond a single row: lists of them, and the line that they wait in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from src.domain.jobs import Job, JobStatus


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands in its user's list, newest first. The place stays when the job is gone."""

    created_at: datetime
    id: str

    @classmethod
    def of(cls, job: Job) -> "Place":
        return cls(job.created_at, job.id)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast jobs are done. `mean_seconds` is what one takes, None while none has been done; `running` at a time."""

    mean_seconds: float | None
    running: int

    def wait_seconds(self, position: int) -> float | None:
        """Until the job at this position, 1 or more, is begun: each `mean_seconds` see `running` jobs begin."""
        return None if self.mean_seconds is None else position * self.mean_seconds / max(1, self.running)


class JobViews(Protocol):
    """Reads only. All raise Overloaded and EngineUnavailable when the rows cannot be read."""

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        """The newest `most` of the user's jobs, newest first; those after a place, those in some states (none: all)."""

    async def ahead_of(self, job_id: str, most: int) -> int:
        """How many waiting jobs would be taken before this one if no more came; at most `most` are counted."""

    async def pace(self) -> Pace:
        """By the jobs that were completed last and those that are being done now."""
