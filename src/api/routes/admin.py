"""For those who look after the service; the scope is `admin`, as of everything under this prefix."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query

from src.api import cursor as cursors
from src.api.dependencies import Caller, ServicesDep
from src.api.error_handlers import problems
from src.api.requests import JsonRoute
from src.api.routes.jobs import Cursor
from src.api.schemas.system import AuditEntry, AuditList, RevocationRequest, RevocationResponse, UserId
from src.domain.accounts import DeletionKind, Recorded
from src.domain.errors import RequestInvalid

router = APIRouter(prefix="/api/v1/admin", tags=["admin"], route_class=JsonRoute)

_ROW = re.compile(r"[0-9]{1,18}")


@router.post("/revocations", responses=problems(400, 403, 408, 413, 415, 422, 429, 503))
async def revoke(body: RevocationRequest, caller: Caller, services: ServicesDep) -> RevocationResponse:
    """Refuse a token, or every token that a user has now, before it expires.

    A user's tokens that are issued from half a minute later on are good again. Services cannot act for the user with
    tokens issued before, either.
    """
    if body.user_id is not None:
        done = await services.sessions.revoke_user(body.user_id, caller.user_id)
    else:
        done = await services.sessions.revoke_token(body.token_id or "", caller.user_id)
    return RevocationResponse(subject=done.subject, issued_until=done.issued_until, expires_at=done.expires_at)


@router.delete("/users/{user_id}", status_code=204, responses=problems(403, 422, 429, 503))
async def delete_user(user_id: Annotated[UserId, Path()], caller: Caller, services: ServicesDep) -> None:
    """Delete everything of a user, as `DELETE /api/v1/me` does. It is not asked whether there was anything.

    The user's tokens stay valid; `POST /api/v1/admin/revocations` refuses them.
    """
    await services.deletions.request(DeletionKind.USER, user_id, user_id, caller.user_id)


@router.get("/audit", responses=problems(403, 422, 429, 503))
async def audit(
    user_id: Annotated[UserId, Query()],
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Events on a page.")] = 50,
    cursor: Cursor = None,
) -> AuditList:
    """What a user did, and what was done to the user, newest first, a page at a time."""
    after = cursors.decode(cursor) if cursor is not None else None
    if after is not None and not _ROW.fullmatch(after.id):
        raise RequestInvalid("cursor: this is no `next_cursor` of this list; without one the first page is given")
    found = await services.audit_trail.about(user_id, limit + 1, after)
    page = found[:limit]
    following = cursors.encode(page[-1].place) if len(found) > limit else None
    return AuditList(events=[_entry(each) for each in page], next_cursor=following)


def _entry(recorded: Recorded) -> AuditEntry:
    event = recorded.event
    details = dict(event.details)
    return AuditEntry(
        at=event.at,
        user_id=event.user_id,
        by=details.pop("by", None),
        action=event.action,
        subject=event.subject,
        outcome=event.outcome,
        details=details,
    )
