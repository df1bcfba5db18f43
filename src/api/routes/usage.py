"""The caller's own counts."""

from typing import Annotated

from fastapi import APIRouter, Query

from src.api.dependencies import Caller, ServicesDep
from src.api.problems import problems
from src.api.schemas.system import AudioBudget, DailyUsage, UsageResponse
from src.domain.rates import Standing

router = APIRouter(prefix="/api/v1", tags=["usage"])


@router.get("/usage", responses=problems(422, 429))
async def usage(caller: Caller, services: ServicesDep, days: Annotated[int, Query(ge=1, le=366)] = 30) -> UsageResponse:
    """Requests, seconds of audio in and out, and characters spoken, by UTC day, newest first; and what is left of the
    day's audio, where that is limited.
    """
    counted = await services.usage.by_day(caller.user_id, days)
    budget = services.audio_budget
    return UsageResponse(
        user_id=caller.user_id,
        audio_budget=None if budget is None else _audio_budget(await budget.standing(caller.user_id)),
        days=[
            DailyUsage(
                day=day.day,
                requests=day.requests,
                seconds_in=round(day.seconds_in, 3),
                seconds_out=round(day.seconds_out, 3),
                characters=day.characters,
            )
            for day in counted
        ],
    )


def _audio_budget(standing: Standing) -> AudioBudget:
    return AudioBudget(
        seconds_per_day=standing.limit, seconds_left=standing.remaining, resets_in_seconds=standing.reset_seconds
    )
