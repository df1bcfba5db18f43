"""What a user may ask about everything that is theirs."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from src.api.dependencies import Caller, ServicesDep
from src.api.error_handlers import problems
from src.domain.accounts import DeletionKind

router = APIRouter(prefix="/api/v1", tags=["me"])


@router.delete("/me", status_code=204, responses=problems(429, 503))
async def delete_me(caller: Caller, services: ServicesDep) -> None:
    """Delete the caller's jobs, profiles with their consents, counts, callbacks, idempotency keys, and files.

    From the answer on nothing of it is found any more; files and copies are gone within 60 s, also when the service is
    stopped meanwhile. The audit log keeps what was done under a pseudonym. Tokens stay valid, as they say who somebody
    is and not what is kept of them: who calls again begins anew.
    """
    await services.deletions.request(DeletionKind.USER, caller.user_id, caller.user_id, caller.user_id)


@router.get(
    "/me/export",
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
