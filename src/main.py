"""The process that takes requests: `python -m src.main`, or `uvicorn --factory src.main:create_app`."""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from src.api.app import audio_quota, build_app, redeem_secret, require_session
from src.api.middleware import Edge
from src.api.requests import MAX_AUDIO_BYTES
from src.bootstrap import running_services
from src.bootstrap.access import Access, build_access
from src.bootstrap.engines import Engines
from src.bootstrap.process import be_private, build_server, configure_logging, load_settings
from src.bootstrap.stores import SharedState, build_shared_state
from src.config.settings import Settings
from src.domain.errors import VoiceServiceError

logger = logging.getLogger(__name__)

_BASE64_GROWTH = 4 / 3 * 2
"""Four characters for three bytes, and two of JSON for each: quiet PCM is full of slashes, which some encoders escape,
and lines of 64 have a CR LF of four characters, or of twelve."""
_JSON_OVERHEAD_BYTES = 64 * 1024
_HSTS_SECONDS = 365 * 24 * 3600
"""Of Strict-Transport-Security, where this server has TLS; a proxy that has it adds its own."""


def create_app(settings: Settings | None = None, engines: Engines | None = None) -> FastAPI:
    """`engines` stands in for those that the settings name, in tests and benchmarks.

    Raises EngineUnavailable for a file of the settings that cannot be used.
    """
    settings = settings or Settings()
    shared, access = build_shared_state(settings), build_access(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        try:
            async with access.running(), running_services(settings, engines, shared, access) as services:
                yield {"services": services}
        except VoiceServiceError as error:
            app.state.why_not_started = error.detail
            raise

    return build_app(_edge(settings, shared, access), lifespan)


def _edge(settings: Settings, shared: SharedState, access: Access) -> Edge:
    return Edge(
        max_body_bytes=round(MAX_AUDIO_BYTES * _BASE64_GROWTH) + _JSON_OVERHEAD_BYTES,
        verifier=access.verifier,
        loopback_only=access.loopback_only,
        secret_check=redeem_secret,
        session_check=require_session,
        translations_per_minute=settings.rate_limit_translations_per_minute,
        requests_per_minute=settings.rate_limit_requests_per_minute,
        counter=shared.counter,
        concurrent_per_user=settings.max_concurrent_requests_per_user,
        slots=shared.slots,
        audio_quota=audio_quota if settings.rate_limit_audio_seconds_per_day else None,
        trusted_proxies=tuple(settings.trusted_proxies),
        cors_origins=tuple(settings.cors_origins),
        public_origin=_origin(settings.public_base_url),
        hsts_seconds=_HSTS_SECONDS if settings.tls_certificate_file else 0,
    )


def _origin(address: str | None) -> str | None:
    parts = urlsplit(address or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def main(engines: Engines | None = None) -> int:
    """Run the service until SIGTERM or Ctrl-C. Exit code 2: a setting is wrong; 1: something that it needs is
    missing.
    """
    settings = load_settings()
    if settings is None:
        return 2
    be_private()
    configure_logging(settings.log_level, settings.log_format, "api")
    try:
        app = create_app(settings, engines)
        server = build_server(app, settings)
    except VoiceServiceError as error:
        logger.error("The service cannot start: %s", error.detail)
        return 1
    try:
        server.run()
    finally:
        # uvicorn writes a stack; this is the last line, and the one to read
        if reason := getattr(app.state, "why_not_started", None):
            logger.error("The service cannot start: %s", reason)
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
