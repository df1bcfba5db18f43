"""What callers see of their jobs without changing them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

from src.domain.errors import Unavailable
from src.domain.jobs import Job, JobStatus, JobViews, Pace, Place

LAST_POSITION = 1_000
"""Stands for itself and for all behind it: counting costs time."""

_PACE_SECONDS = 2.0
"""How long a pace is believed: those who wait ask several times a second, and it changes slowly."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a user's jobs, newest first. `last` is where the next page goes on; None when this one is the last."""

    jobs: tuple[Job, ...]
    last: Place | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`position`: 1 is taken next. `wait_seconds`: until it is begun; None where there is nothing to judge by."""

    position: int
    wait_seconds: float | None


@dataclass(eq=False)
class JobBoard:
    """`patience_seconds` bounds the making of a forecast. `clock` counts seconds."""

    views: JobViews
    _: KW_ONLY
    patience_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _known_pace: tuple[Pace, float] | None = field(default=None, init=False)  # with the time until which it is believed
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def page(self, user_id: str, most: int, after: Place | None, statuses: frozenset[JobStatus]) -> Page:
        """At most `most` jobs of the user after a place; `statuses` empty: in any state."""
        found = await self.views.of_user(user_id, most + 1, after, statuses)
        jobs = tuple(found[:most])
        return Page(jobs, Place.of(jobs[-1]) if len(found) > most else None)

    async def forecast(self, job: Job) -> Forecast | None:
        """None for a job that does not wait, and while nobody can tell: it is no reason to fail a request."""
        if job.status is not JobStatus.PENDING:
            return None
        try:
            async with asyncio.timeout(self.patience_seconds):
                position = 1 + await self.views.ahead_of(job.id, LAST_POSITION - 1)
                return Forecast(position, (await self._pace()).wait_seconds(position))
        except (Unavailable, TimeoutError):
            return None

    async def _pace(self) -> Pace:
        async with self._looking:  # of many who ask at once, one asks the database
            if self._known_pace is None or self._known_pace[1] <= self.clock():
                self._known_pace = (await self.views.pace(), self.clock() + _PACE_SECONDS)
            return self._known_pace[0]
