"""What the audit log tells those who may read it."""

from dataclasses import dataclass
from typing import Protocol

from src.domain.job_views import Place
from src.domain.jobs import AuditEvent


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event, and where it stands in the log."""

    place: Place
    event: AuditEvent


class AuditTrail(Protocol):
    """Reads only. Raises Overloaded and EngineUnavailable when the log cannot be read."""

    async def about(self, user_id: str, most: int, after: Place | None = None) -> list[Recorded]:
        """The newest `most` events that the user did, or that were done to the user, newest first; those after a
        place of this log.
        """
