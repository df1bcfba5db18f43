"""What concerns a user as a whole: the audit log, what is held about them, and what is deleted for good.

A deletion is of a voice profile, a job, or a user with everything that is theirs.

    request → in one transaction the rows go, and the paths of their files are listed → the files and what is cached go
    → a while later once more, for what was just being written → only hashes and times are left

Whoever takes the request begins; any process goes on where another was killed.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from src.domain.jobs import AuditEvent, Place, UsageEvent


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


Rows = list[dict[str, Any]]
"""Values are texts, numbers, times, and what JSON has."""


class Holdings(Protocol):
    """Raises Overloaded and EngineUnavailable when the database cannot answer."""

    @property
    def tables(self) -> tuple[str, ...]: ...

    def rows(self, table: str, user_id: str) -> AsyncIterator[Rows]:
        """The user's rows, a page at a time."""

    def paths(self, user_id: str) -> AsyncIterator[list[str]]:
        """Of the user's files, and of folders of them, with a slash at the end; some at a time."""


DELETIONS = "deletions"
"""What JobEvents are told, in place of an id, when something was deleted."""


class DeletionKind(StrEnum):
    PROFILE = "profile"
    JOB = "job"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Deletion:
    """`subject` and `owner` are known until it is done. `jobs`: ids of those that were waiting or running."""

    id: str
    kind: DeletionKind
    subject: str
    owner: str
    requested_at: datetime
    settles_at: datetime  # from then on nobody writes any more what was there before
    attempts: int = 0
    jobs: tuple[str, ...] = ()


class Pseudonyms:
    """What is left of names: the same for the same name, and to be guessed only by who has the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, name: str) -> str:
        """64 hexadecimal digits."""
        return hmac.new(self._key, name.encode(errors="replace"), hashlib.sha256).hexdigest()

    def of(self, name: str) -> str:
        """As logs show it."""
        return f"deleted-{self.hash(name)[:32]}"


class PlannedErasures(Protocol):
    """Files that are to be erased at some time. They are listed before they are written: whatever happens to the
    process that writes them, somebody erases them.
    """

    async def plan(
        self, paths: Collection[str], owner: str, profile_id: str | None, seconds: float, *, since: datetime
    ) -> None:
        """Raises NotFound when the profile, or after `since` the owner, was deleted."""

    async def erased(self, paths: Collection[str]) -> None:
        """They are: nobody need do it."""


class DeletionRepository(PlannedErasures, Protocol):
    """Raises Overloaded and EngineUnavailable when the database cannot answer."""

    async def request(self, kind: DeletionKind, subject: str, owner: str, by: str) -> Deletion:
        """Take the rows away, and remember what is to be erased: all or nothing. `by`: who says so, for the audit log.

        Raises NotFound, also for another user's; not so for a user of whom nothing is there.
        """

    async def open_owners(self) -> list[str]:
        """Those of whom something is being deleted."""

    async def claim(self) -> Deletion | None:
        """One that is due; it is this process's for a while."""

    async def paths(self, deletion: Deletion, passes: int, most: int) -> list[str]:
        """Some of those that were erased fewer times than `passes`."""

    async def passed(self, deletion: Deletion, paths: Sequence[str]) -> None:
        """They were erased once more. The deletion is this process's for a while longer."""

    async def settle(self, deletion: Deletion) -> None:
        """It is due when it settles."""

    async def finish(self, deletion: Deletion) -> None:
        """Everything is gone: forget what it was, but for hashes."""

    async def due_paths(self, most: int) -> list[str]:
        """Planned ones whose time has come, for this process for a while."""

    async def without_row(self, keys: Sequence[str]) -> list[str]:
        """Of files of jobs and profiles, those that no row refers to."""

    async def expire(self) -> int:
        """Delete what has been kept for long enough. Returns how many rows."""


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
