"""Where a defect happened, for the log, without its words."""

import traceback
from collections.abc import Iterator


def where(error: BaseException) -> str:
    """The stack and the type of an error and of its causes, without their messages.

    A message quotes values, and a value may be what somebody said.
    """
    return "caused\n".join(_steps(error))


def _steps(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _steps(cause)
    yield f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__module__}.{type(error).__qualname__}\n"
