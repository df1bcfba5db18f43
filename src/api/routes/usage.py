"""The caller's own counts."""

from typing import Annotated

from fastapi import APIRouter, Query

from src.api.dependencies import Caller, ServicesDep
from src.api.error_handlers import problems
from src.api.schemas.system import UsageResponse

router = APIRouter(prefix="/api/v1", tags=["usage"])


@router.get("/usage", responses=problems(422, 429))
async def usage(caller: Caller, services: ServicesDep, days: Annotated[int, Query(ge=1, le=366)] = 30) -> UsageResponse:
    """Requests, seconds of audio in and out, and characters spoken, by UTC day, newest first; and what is left of the
    day's audio, where that is limited.
    """
    counted = await services.usage.by_day(caller.user_id, days)
    budget = services.audio_budget
    quota = None if budget is None else await budget.quota(caller.user_id)
    body = {"user_id": caller.user_id, "audio_budget": quota, "days": counted}
    return UsageResponse.model_validate(body, from_attributes=True)
