"""Who did what to whose data, for those who must be able to tell later."""

import logging

from src.domain.errors import VoiceServiceError
from src.domain.jobs import AuditEvent
from src.domain.ports import AuditLog

logger = logging.getLogger(__name__)


class Audit:
    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def record(self, user_id: str, action: str, subject: str, **details: str) -> None:
        """`user_id` did it. `details` hold no words, no audio and no secrets.

        Call it after the deed. What is done stays done when this cannot be written; then the log has it as an error.
        """
        try:
            await self._log.add(AuditEvent(user_id, action, subject, details=details))
        except VoiceServiceError as error:
            logger.error("not in the audit log (%s): %s of %s by %s", error.code, action, subject, user_id)
