"""Who did what to whose data, for those who must be able to tell later."""

import logging
import time
from dataclasses import dataclass, field

from src.domain.errors import VoiceServiceError
from src.domain.identity import acting_service
from src.domain.jobs import AuditEvent
from src.domain.repositories import AuditLog

logger = logging.getLogger(__name__)

KEEP_SECONDS = 366 * 24 * 3600.0
"""A year, which auditors ask for."""
_SWEEP_SECONDS = 3600.0


@dataclass(eq=False)
class Audit:
    """Events are kept for `keep_seconds`, and deleted at some later event."""

    log: AuditLog
    keep_seconds: float = KEEP_SECONDS
    _next_sweep: float = field(default=0.0, init=False)  # on the monotonic clock

    async def record(
        self, user_id: str, action: str, subject: str, *, outcome: str = "completed", **details: str
    ) -> None:
        """`user_id` did it, or tried to: then `outcome` is the code of the error. `details` hold no words, no audio and
        no secrets; `by` is added, the service that acted for the user, when there is one.

        Call it after the deed. What is done stays done when this cannot be written; then the log has it as an error.
        """
        service = acting_service.get()
        if service is not None:
            details["by"] = service
        try:
            await self.log.add(AuditEvent(user_id, action, subject, outcome, details))
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + _SWEEP_SECONDS
                await self.log.forget_older_than(self.keep_seconds)
        except VoiceServiceError as error:
            logger.error("not in the audit log (%s): %s of %s by %s", error.code, action, subject, user_id)
