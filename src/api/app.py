"""The application: its routes, its contract at `/docs` with what every operation asks of callers, and its edge."""

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
from src.api.error_handlers import OPENAI_PREFIX, problems
from src.api.middleware import required_scope
from src.api.middleware.auth import ON_BEHALF_OF
from src.api.routes import admin, audio, health, jobs, languages, me, openai, page, profiles, realtime, voice
from src.domain.accounts import Quota
from src.domain.identity import SCOPES, Identity

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
    for part in (voice, profiles, jobs, languages, me, openai, realtime, admin, audio, health, page):
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


_SCHEME = "token"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A JSON Web Token with `iss`, `aud`, `sub` (the user), `iat`, `exp`, and `scope`, one text with "
    "spaces between. Scopes: " + "; ".join(f"`{scope}`: {allows}" for scope, allows in SCOPES.items()) + ".",
}
_ACTING = {
    "name": ON_BEHALF_OF,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-~]+$"},
    "description": "The id of the user that a service acts for; needs the scope `voice:service`. Other letters than "
    "ASCII's are sent in UTF-8.",
}


def describe_access(app: FastAPI, *, asks_tokens: bool) -> None:
    """Have `app` describe tokens, scopes and what they are refused with. `asks_tokens`: whether callers need one."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain(), asks_tokens=asks_tokens)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI would have it extended


def _described(document: dict[str, Any], *, asks_tokens: bool) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components.setdefault("parameters", {})[ON_BEHALF_OF] = _ACTING
    if asks_tokens:
        components.setdefault("securitySchemes", {})[_SCHEME] = _BEARER
    refusals = {str(status): response for status, response in problems(401, 403, 422).items()}
    for path, item in document["paths"].items():
        scope = required_scope(path)
        for method in _METHODS & item.keys():
            operation = item[method]
            if scope is None:
                operation.get("responses", {}).pop("401", None)
                continue
            if not path.startswith(OPENAI_PREFIX):
                operation["responses"] = {**refusals, **operation.get("responses", {})}
            operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{ON_BEHALF_OF}"})
            if asks_tokens:
                operation["security"] = [{_SCHEME: [scope]}]
    return document
