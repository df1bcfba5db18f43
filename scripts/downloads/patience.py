"""How long to wait for a server, and how often to ask it again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from scripts.downloads.errors import Temporary

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """Deadlines in seconds. Nothing waits longer than these, and nothing is tried more often."""

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    """Without a byte; and the time in which at least `slowest_bytes` must come."""
    slowest_bytes: int = 64 * 1024
    attempts: int = 6
    """In a row that bring less than `enough_bytes`: a long file may break off more often than that."""
    enough_bytes: int = 2**20
    contact_attempts: int = 3
    """Before anything has come: someone without a network should not wait long to be told."""
    first_pause_seconds: float = 1.0
    """Doubled after each failure."""
    longest_pause_seconds: float = 120.0
    """A server that asks for more is not waited for."""


def patiently(
    work: Callable[[], Result],
    patience: Patience,
    attempts: int,
    say: Callable[[str], None],
    received: Callable[[], int] = lambda: 0,
) -> Result:
    """Do the work; after a Temporary error pause, and do it again. `received`: bytes so far. Raises the last error."""
    failures = 0
    while True:
        before = received()
        try:
            return work()
        except Temporary as error:
            failures = 1 if received() - before >= patience.enough_bytes else failures + 1
            pause = _pause(error, failures, patience)
            if failures >= attempts or pause > patience.longest_pause_seconds:
                raise
            say(f"{error} Trying again in {pause:.0f} s ({failures} of {attempts - 1}).")
            time.sleep(pause)


def _pause(error: Temporary, failures: int, patience: Patience) -> float:
    if error.retry_after is not None:
        return error.retry_after
    doubled = min(patience.first_pause_seconds * 2.0 ** (failures - 1), patience.longest_pause_seconds / 2)
    # Many machines that lose the same server do not come back in the same moment.
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
