"""A service whose live sessions have limits of a test's own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI

from src.api.app import build_app
from src.bootstrap import running_services
from src.bootstrap.access import build_access
from src.bootstrap.engines import Engines
from src.bootstrap.stores import build_shared_state
from src.config.settings import Settings
from src.main import _edge
from src.services.live.events import LiveLimits
from tests.conftest import serving


@contextmanager
def limited(settings: Settings, limits: LiveLimits, engines: Engines | None = None) -> Iterator[str]:
    """Its base URL. `engines` None: those that the settings name."""
    shared, access = build_shared_state(settings), build_access(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with running_services(settings, engines, shared, access) as services:
            services.live.limits = limits
            yield {"services": services}

    app = build_app(_edge(settings, shared, access), lifespan)
    with serving(app, start_seconds=240.0) as url:  # real engines take a while on a loaded machine
        yield url
