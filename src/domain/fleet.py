"""The workers of a service, as they tell of themselves."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from src.domain.jobs import now

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
