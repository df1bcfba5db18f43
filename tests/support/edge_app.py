"""A small application inside the real edge, for tests of the edge alone."""

import asyncio
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field

from src.api.middleware import Edge, install
from src.api.requests import JsonRoute
from src.domain.errors import VoiceServiceError


class Message(BaseModel):
    audio: Annotated[str, Field(min_length=1)]
    quality: Annotated[int, Field(le=3)] = 1
    extra: dict[str, Any] = {}


def edge_app(edge: Edge | None = None, error: Exception | None = None) -> FastAPI:
    """Echoes what it was sent; GET /api/v1/failing raises `error`, GET /api/v1/breaking after its answer has begun."""
    app = FastAPI()
    app.state.stopping, app.state.ending = asyncio.Event(), asyncio.Event()
    app.router.route_class = JsonRoute

    @app.post("/api/v1/voice/translate")
    async def translate(body: Message) -> dict[str, int]:
        return {"characters": len(body.audio)}

    @app.get("/api/v1/whoami/{anything}")
    async def whoami(request: Request, anything: str) -> dict[str, Any]:
        state = request.state
        scopes = sorted(state.identity.scopes)
        return {"user": state.identity.user_id, "scopes": scopes, "request_id": state.request_id, "path": anything}

    @app.get("/api/v1/failing")
    async def failing() -> None:
        assert error is not None
        raise error

    @app.get("/api/v1/audio/{key}")
    async def audio(key: str) -> Response:
        return Response(b"RIFF" + key.encode(), media_type="audio/wav")

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/")
    async def page() -> Response:
        return Response("<p>", media_type="text/html")

    install(app, edge or Edge(max_body_bytes=1000))
    return app


def client(app: FastAPI, address: str = "192.0.2.1") -> httpx.AsyncClient:
    """Speaks HTTP to the app as a caller at this address."""
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://edge")


def every_error() -> list[type[VoiceServiceError]]:
    """All kinds of errors that have a code."""

    def tree(root: type[VoiceServiceError]) -> list[type[VoiceServiceError]]:
        return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]

    return tree(VoiceServiceError)
