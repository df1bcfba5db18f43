"""Calls of an engine by a process that has none: put in line like jobs, and done by workers while the caller waits."""

from dataclasses import dataclass, field
from datetime import datetime

from src.domain.jobs import JobError, JobStatus, Priority, now

WAITING = "engine-calls"
"""What JobEvents are told, in place of an id, when a call waits: those workers look that are idle."""

FOLDER = "inputs/calls"
"""Where arguments and results lie in storage while a call lasts: what is forgotten there expires as recordings do."""


@dataclass(frozen=True, slots=True)
class EngineCall:
    """One method call. It has a lease, a fence and attempts as a Job has. It exists while its caller waits for it."""

    id: str
    user_id: str
    method: str
    status: JobStatus = JobStatus.PENDING
    attempts: int = 0
    error: JobError | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    priority: Priority = Priority.INTERACTIVE
    fence: int = 0
    cancel_requested: bool = False

    @property
    def ended(self) -> bool:
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED)

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.id}"

    @property
    def arguments_key(self) -> str:
        return f"{self.folder}/arguments"

    @property
    def result_key(self) -> str:
        """Each lease has a place of its own, so that no two workers write the same."""
        return f"{self.folder}/result-{self.fence}"
