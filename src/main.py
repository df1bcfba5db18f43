"""The application and its start: `python -m src.main`, or `uvicorn --factory src.main:create_app`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from src import __version__, api
from src.api import error_handlers, middleware
from src.api.routes import audio, health, languages, page, usage, voice
from src.bootstrap import Engines, running_services, token_verifier
from src.config.settings import Settings

DESCRIPTION = """A spoken message in, the same message in another language and in the speaker's voice out."""


def create_app(settings: Settings | None = None, engines: Engines | None = None) -> FastAPI:
    """`engines` stands in for those that the settings name, in tests and benchmarks."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with running_services(settings, engines) as services:
            yield {"services": services}

    app = FastAPI(title="Voice translation", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    for router in (voice.router, languages.router, usage.router, audio.router, health.router, page.router):
        app.include_router(router)
    error_handlers.install(app)
    return app
