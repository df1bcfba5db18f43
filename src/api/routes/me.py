"""What a user may ask about everything that is theirs, and the counts of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from src.api.dependencies import Caller, ServicesDep
from src.api.error_handlers import problems
from src.api.schemas.system import UsageResponse
from src.domain.accounts import DeletionKind

router = APIRouter(prefix="/api/v1")


@router.delete("/me", tags=["me"], status_code=204, responses=problems(429, 503))
async def delete_me(caller: Caller, services: ServicesDep) -> None:
    """Delete the caller's jobs, profiles with their consents, counts, callbacks, idempotency keys, and files.

    From the answer on nothing of it is found any more; files and copies are gone within 60 s, also when the service is
    stopped meanwhile. The audit log keeps what was done under a pseudonym. Tokens stay valid, as they say who somebody
    is and not what is kept of them: who calls again begins anew.
    """
    await services.deletions.request(DeletionKind.USER, caller.user_id, caller.user_id, caller.user_id)


@router.get(
    "/me/export",
    tags=["me"],
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}, **problems(422, 429, 503)},
)
async def export_me(
    caller: Caller,
    services: ServicesDep,
    audio: Annotated[bool, Query(description="With the recordings, voices and answers that are still there.")] = True,
) -> StreamingResponse:
    """Everything that is held about the caller, as a ZIP: `rows/*.json`, a file for each table, `files/` with the audio
    and voices, and `manifest.json`, which comes last and says what is there. An archive without it was cut short.
    """
    headers = {"Content-Disposition": 'attachment; filename="export.zip"', "Cache-Control": "no-store"}
    pieces = await services.export.start(caller.user_id, audio=audio)
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.get("/usage", tags=["usage"], responses=problems(422, 429))
async def usage(caller: Caller, services: ServicesDep, days: Annotated[int, Query(ge=1, le=366)] = 30) -> UsageResponse:
    """Requests, seconds of audio in and out, and characters spoken, by UTC day, newest first; and what is left of the
    day's audio, where that is limited.
    """
    counted = await services.usage.by_day(caller.user_id, days)
    budget = services.audio_budget
    quota = None if budget is None else await budget.quota(caller.user_id)
    body = {"user_id": caller.user_id, "audio_budget": quota, "days": counted}
    return UsageResponse.model_validate(body, from_attributes=True)
