"""Where a defect happened, for the log, without its words."""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator

OWN_LOGGER = "src"
"""The logger above all of the service's own."""

logger = logging.getLogger(__name__)


class Stack(str):
    """What `where` says; the log has it apart from the message."""

    __slots__ = ()


def where(error: BaseException) -> Stack:
    """The stack and the type of an error and of its causes, without their messages.

    A message quotes values, and a value may be what somebody said.
    """
    return Stack("caused\n".join(_steps(error)))


def _steps(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _steps(cause)
    yield f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__module__}.{type(error).__qualname__}\n"


def log_uncaught() -> None:
    """From now on what nobody catches is logged by its place: Python itself would print its words."""

    def report(kind: str, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            logger.critical("nobody caught an error in %s\n%s", kind, where(error))

    sys.excepthook = lambda _type, error, _traceback: report("the main thread", error)
    threading.excepthook = lambda told: report("a thread", told.exc_value)
    sys.unraisablehook = lambda told: report("a clean-up", told.exc_value)
