"""What callers see of their jobs beyond a single row: lists of them."""

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


class JobViews(Protocol):
    """Reads only. All raise Overloaded and EngineUnavailable when the rows cannot be read."""

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        """The newest `most` of the user's jobs, newest first; those after a place, those in some states (none: all)."""
