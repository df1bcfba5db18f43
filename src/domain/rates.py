"""How much a caller may ask for: where it stands with each limit, and who counts."""

from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from src.domain.jobs import UsageEvent

WINDOW_SECONDS = 60
DAY_SECONDS = 24 * 3600

DECODED = "decode"
"""The `operation` of usage that is decoded audio alone: it counts for the day's budget, and is no request by itself."""

audio_counted: ContextVar[bool] = ContextVar("audio_counted", default=False)
"""Whether the audio that the running task decodes was counted before: that of a job that is begun again, or of a stored
profile.
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """After a request was counted, or refused. `limit`: requests, or seconds of audio, in any window of
    `window_seconds`, of which `remaining` are left.

    `reset_seconds`: until the oldest counted request leaves the window, or the day ends.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    window_seconds: int = WINDOW_SECONDS


def seconds_to_midnight(at: datetime) -> int:
    """Whole seconds until the UTC day of `at` has ended, 1 to 86,400."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(1, -((at - midnight) // timedelta(seconds=1)))


class AudioLedger(Protocol):
    """How much audio of each user was decoded: exact over all processes, and kept."""

    async def spend(self, event: UsageEvent, most_seconds: float) -> bool:
        """Count `event.seconds_in`. False, and nothing is counted, when that would make more than `most_seconds` of the
        user's on the UTC day of the event.
        """

    async def spent(self, user_id: str, at: datetime) -> float:
        """Seconds on the UTC day of `at`."""


class Slots(Protocol):
    """How many requests of each caller are in work."""

    def held(self, key: str, most: int) -> AbstractAsyncContextManager[bool]:
        """Inside, one of the `most` slots of `key` is taken. False: none was free.

        Always answers: slots behind a network have others for the time without it.
        """
