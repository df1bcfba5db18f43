"""What workers do under a lease, jobs and engine calls, and what workers tell of themselves."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

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


class Leased(Protocol):
    """What workers do under a lease: a job, or an engine call."""

    @property
    def id(self) -> str: ...

    @property
    def fence(self) -> int:
        """Counts the leases."""

    @property
    def attempts(self) -> int:
        """Those that were begun and not given back."""

    @property
    def cancel_requested(self) -> bool: ...


L = TypeVar("L", bound=Leased)


class LeasedRepository(Protocol[L]):
    """Rows that wait in line for workers."""

    async def get(self, row_id: str, /) -> L:
        """Raises NotFound."""

    async def claim(self, lease_seconds: float, *, begun_below: int | None = None) -> L | None:
        """Lease the next row in line, for one attempt; `begun_below`: of those begun fewer times."""

    async def give_back(self, row: L, /) -> None:
        """Put a leased row back in its old place; the attempt does not count."""

    async def requeue_expired(self, max_attempts: int) -> list[str]:
        """Put rows whose lease has run out back in line. Their ids; those begun `max_attempts` times stay."""

    async def claim_spent(self, max_attempts: int, lease_seconds: float) -> list[L]:
        """Lease the rows that stay, to end them."""

    async def delete(self, row_id: str, /) -> None: ...


class CallRepository(LeasedRepository[EngineCall], Protocol):
    async def add(self, call: EngineCall, most_waiting: int, seconds: float) -> None:
        """Put it in line, for `seconds`: nobody begins it later. Raises Overloaded when `most_waiting` calls wait."""

    async def finish(self, call: EngineCall) -> bool:
        """Write the final state. Repeating it changes nothing.

        False, and nothing is written: the row is gone, has ended otherwise, or was leased to another worker since.
        """

    async def overdue(self) -> list[EngineCall]:
        """Calls whose time is over, and which their callers have not taken away."""


CHANGED = "workers"
"""What JobEvents are told, in place of an id, when a worker comes or goes."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """An engine, and the languages that it hears or speaks. `varies`: of a voice, as in `domain.ports.VoiceEngine`."""

    engine: str
    languages: frozenset[str]
    varies: bool = False


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says with each heartbeat. `slots`: how much it does at the same time, of which `running` now.

    `draining`: it takes no more work. `notices` say what is less than it should be.
    """

    id: str
    host: str
    device: str
    slots: int
    running: int
    hears: Abilities
    speaks: Abilities
    draining: bool = False
    notices: tuple[str, ...] = ()
    started_at: datetime = field(default_factory=now)


class WorkerRegistry(Protocol):
    """All methods raise Overloaded, EngineUnavailable."""

    async def seen(self, worker: WorkerState) -> None:
        """It lives, and this is how it is now."""

    async def within(self, seconds: float) -> list[WorkerState]:
        """Those that were seen in the last `seconds`, newest first."""
