"""The place of a waiting job, and what is made of it; over views that the test sets."""

import asyncio
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job, JobStatus, Pace, Place
from src.services.jobs.board import LAST_POSITION, Forecast, JobBoard
from tests.support.job_rows import job


@dataclass
class SetViews:
    """`ahead` jobs wait before any other."""

    ahead: int = 0
    known: Pace = field(default_factory=lambda: Pace(2.0, 1))
    rows: list[Job] = field(default_factory=list)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        return self.rows[:most]

    async def ahead_of(self, job_id: str, most: int) -> int:
        self._note("ahead_of")
        return min(self.ahead, most)

    async def pace(self) -> Pace:
        self._note("pace")
        await asyncio.sleep(0)
        return self.known

    def _note(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise EngineUnavailable("The database does not answer.")


WAITING = job("waiting")


@pytest.mark.parametrize(
    ("position", "mean_seconds", "running", "seconds"),
    [(1, 2.0, 1, 2.0), (3, 2.0, 1, 6.0), (3, 2.0, 4, 1.5), (5, 0.5, 0, 2.5), (1, 0.0, 2, 0.0), (7, None, 2, None)],
)
async def test_a_wait_is_the_position_in_mean_times_of_those_that_run_together(
    position: int, mean_seconds: float | None, running: int, seconds: float | None
) -> None:
    board = JobBoard(SetViews(position - 1, Pace(mean_seconds, running)))
    assert await board.forecast(WAITING) == Forecast(position, seconds)


async def test_a_later_position_has_a_longer_estimate() -> None:
    views = SetViews(known=Pace(1.7, 3))
    board = JobBoard(views)
    forecasts = []
    for views.ahead in (0, 1, 5, 50, 900):
        forecasts.append(await board.forecast(WAITING))
    waits = [forecast.wait_seconds or 0.0 for forecast in forecasts if forecast]
    assert len(waits) == 5
    assert all(nearer < further for nearer, further in pairwise(waits))


async def test_counting_ends_somewhere() -> None:
    forecast = await JobBoard(SetViews(50_000)).forecast(WAITING)
    assert forecast == Forecast(LAST_POSITION, LAST_POSITION * 2.0)


@pytest.mark.parametrize("status", [JobStatus.PROCESSING, JobStatus.COMPLETED, JobStatus.FAILED])
async def test_a_job_that_does_not_wait_has_no_place_and_costs_nothing(status: JobStatus) -> None:
    views = SetViews()
    assert await JobBoard(views).forecast(replace(WAITING, status=status)) is None
    assert views.asked == []


async def test_a_database_that_is_away_fails_no_request_and_is_asked_again() -> None:
    views = SetViews(away=True)
    board = JobBoard(views)
    assert await board.forecast(WAITING) is None
    views.away = False
    assert await board.forecast(WAITING) == Forecast(1, 2.0)


async def test_a_database_that_keeps_silent_holds_nobody_for_long() -> None:
    class Silent(SetViews):
        async def pace(self) -> Pace:
            await asyncio.Event().wait()
            raise AssertionError("nothing wakes it")

    board = JobBoard(Silent(), patience_seconds=0.05)
    async with asyncio.timeout(60):  # one after the other they would take 150 s
        assert await asyncio.gather(*(board.forecast(WAITING) for _ in range(3000))) == [None] * 3000


async def test_the_pace_is_asked_once_for_all_who_wait_and_again_after_two_seconds() -> None:
    time = [100.0]
    views = SetViews()
    board = JobBoard(views, clock=lambda: time[0])
    await asyncio.gather(*(board.forecast(WAITING) for _ in range(50)))
    time[0] += 1.9
    assert await board.forecast(WAITING) == Forecast(1, 2.0)
    assert views.asked.count("pace") == 1
    views.known = Pace(6.0, 2)
    time[0] += 0.2
    assert await board.forecast(WAITING) == Forecast(1, 3.0)
    assert views.asked.count("pace") == 2


async def test_a_page_says_where_the_next_goes_on() -> None:
    views = SetViews(rows=[job(str(number)) for number in range(5)])
    board = JobBoard(views)
    page = await board.page("ana", 3, None, frozenset())
    assert (list(page.jobs), page.last) == (views.rows[:3], Place.of(views.rows[2]))
    whole = await board.page("ana", 5, None, frozenset())
    assert (list(whole.jobs), whole.last) == (views.rows, None)
