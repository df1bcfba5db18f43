"""The application: its routes, its contract at `/docs`, and its edge."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import Scope

from src import __version__
from src.api import middleware
from src.api.dependencies import Services
from src.api.openapi import describe_access
from src.api.routes import admin, audio, health, jobs, languages, me, openai, page, profiles, realtime, usage, voice
from src.domain.accounts import Quota
from src.domain.identity import Identity

_DESCRIPTION = """A spoken message in, the same message in another language and in the speaker's voice out.

Errors are RFC 9457 problem+json with a stable `code`; under `/v1`, which speaks OpenAI's protocol, they are OpenAI's.
Send `Accept: application/vnd.voice.envelope+json` for answers in an envelope `{"success": …,
"data" | "error": …}`. `X-Request-ID` and `traceparent` are echoed."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]


def build_app(edge: middleware.Edge, lifespan: Lifespan) -> FastAPI:
    """`lifespan` gives what the requests find in their state: `services`. Whoever ends the server sets
    `app.state.stopping` at once, and `app.state.ending` a while before it cancels requests: callers who wait for a job
    are then told where it goes on.
    """
    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs-assets",
        favicon_url="/web/favicon.svg",
        title="Voice translation",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Spans of requests, where bootstrap has set up traces; its own metrics and logs would be a second of each.
        telemetry={"metrics": False, "logs": False, "operation_spans": False, "exclude": _is_probe},
    )
    app.state.stopping, app.state.ending = asyncio.Event(), asyncio.Event()
    for part in (voice, profiles, jobs, languages, me, usage, openai, realtime, admin, audio, health, page):
        app.include_router(part.router)
    describe_access(app, asks_tokens=edge.verifier is not None)
    middleware.install(app, edge)
    return app


def _is_probe(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/health"))


async def require_session(scope: Scope, identity: Identity) -> None:
    """Raises Unauthenticated for a token that was revoked."""
    services: Services = scope["state"]["services"]
    await services.sessions.require(identity)


async def redeem_secret(scope: Scope, secret: str) -> Identity:
    """Whose live session it opens; how that begins is in the state. Raises Unauthenticated."""
    services: Services = scope["state"]["services"]
    opening = await services.client_secrets.redeem(secret)
    scope["state"]["opening"] = opening
    return opening.caller


async def audio_quota(scope: Scope, user_id: str) -> Quota:
    """What is left of the user's audio of this day."""
    services: Services = scope["state"]["services"]
    assert services.audio_budget is not None  # noqa: S101 - it is there when the setting is
    return await services.audio_budget.quota(user_id)
