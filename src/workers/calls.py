"""One method call on its way to a child process, and how its outcome reaches the caller."""

import asyncio
import logging
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from src.domain.errors import InternalError, VoiceServiceError
from src.utils.tracing import Stack
from src.workers import child as wire
from src.workers.child_process import Message

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Call:
    """`abandoned`: nobody waits for the answer any more. `context`: whose it is, for the log."""

    method: str
    args: tuple[object, ...] = field(repr=False)
    answer: "asyncio.Future[Any]"
    abandoned: bool = False
    context: Context = field(default_factory=copy_context, repr=False)

    def settle(self, outcome: Message, engine: str) -> None:
        """Hand (RESULT, ERROR or DEFECT, value) to the caller, if there still is one. On the event loop."""
        if self.abandoned or self.answer.done():
            return
        kind, value = outcome
        if kind == wire.RESULT:
            self.answer.set_result(value)
        elif kind == wire.ERROR and isinstance(value, VoiceServiceError):
            self.answer.set_exception(value)
        else:
            self.context.run(logger.error, "defect in %s.%s\n%s", engine, self.method, Stack(value))
            self.answer.set_exception(InternalError(f"The {engine} engine failed."))
