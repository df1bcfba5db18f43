"""What callers see of their jobs without changing them."""

from dataclasses import dataclass

from src.domain.job_views import JobViews, Place
from src.domain.jobs import Job, JobStatus


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a user's jobs, newest first. `last` is where the next page goes on; None when this one is the last."""

    jobs: tuple[Job, ...]
    last: Place | None


class JobBoard:
    def __init__(self, views: JobViews) -> None:
        self._views = views

    async def page(self, user_id: str, most: int, after: Place | None, statuses: frozenset[JobStatus]) -> Page:
        """At most `most` jobs of the user after a place; `statuses` empty: in any state."""
        found = await self._views.of_user(user_id, most + 1, after, statuses)
        jobs = tuple(found[:most])
        return Page(jobs, Place.of(jobs[-1]) if len(found) > most else None)
