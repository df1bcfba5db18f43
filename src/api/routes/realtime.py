"""Live translation, as OpenAI's clients know it: a WebSocket, and tokens for browsers that open it once.

The messages are told in `services/live/README.md` and `api/asyncapi.yaml`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, WebSocket

from src.api import live
from src.api.dependencies import Caller, ServicesDep
from src.api.requests import JsonRoute
from src.api.schemas import realtime as schemas
from src.api.schemas.openai import OpenAiError
from src.services.live.events import LiveSettings
from src.services.live.secrets import Opening
from src.services.live.session import new_session_id

router = APIRouter(prefix="/v1/realtime/translations", tags=["openai"])
json_router = APIRouter(
    route_class=JsonRoute, responses={"default": {"model": OpenAiError, "description": "The error."}}
)

_MODEL = "live"
_PROTOCOL = "realtime"


@router.websocket("")
async def translations(
    websocket: WebSocket, services: ServicesDep, caller: Caller, model: Annotated[str, Query(max_length=100)] = _MODEL
) -> None:
    """Speech in, the same in another language out, while it goes on."""
    opening: Opening | None = getattr(websocket.state, "opening", None)
    until = live.ends_at(caller, services.live.limits.session)
    with services.live.opened(caller.user_id, until, opening.session_id if opening else None) as session:
        await websocket.accept(_PROTOCOL if _PROTOCOL in websocket.scope["subprotocols"] else None)
        first = schemas.SessionChange.model_validate(opening.session if opening else {})
        conversation = live.Conversation(websocket, session, services, caller, first.model or model)
        await conversation.hold(first)


@json_router.post("/client_secrets")
async def client_secrets(
    body: schemas.ClientSecretRequest, services: ServicesDep, caller: Caller
) -> schemas.ClientSecret:
    """A token for a browser: it opens one session, which begins as `session` says, within a minute."""
    wanted = live.changed(LiveSettings(), body.session)
    await services.live.require(caller.user_id, wanted)
    opening = Opening(caller, new_session_id(), schemas.plain(body.session))
    value, expires_at = await services.client_secrets.issue(opening, body.expires_after.seconds)
    until = live.ends_at(caller, services.live.limits.session)
    session = live.present(opening.session_id, wanted, body.session.model or _MODEL, until)
    return schemas.ClientSecret(value=value, expires_at=expires_at, session=session)


router.include_router(json_router)
