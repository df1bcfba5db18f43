"""Where a caller stands with a limit on requests."""

from dataclasses import dataclass

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Standing:
    """After a request was counted, or refused. `limit`: requests in any WINDOW_SECONDS, of which `remaining` are left.

    `reset_seconds`: until the oldest counted request leaves the window.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
