"""Settings to the server that listens for the application."""

import logging
import resource

import uvicorn
from fastapi import FastAPI

from src.api.connections import ConnectionLimits, guarded
from src.config.settings import Settings

logger = logging.getLogger(__name__)

_OTHER_FILES = 256
"""Open files beside the callers' connections: libraries, pipes to children, connections to stores."""


def build_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    limits = ConnectionLimits(
        header_seconds=settings.header_timeout_seconds,
        send_seconds=settings.send_timeout_seconds,
        most=_affordable(settings.max_connections),
        most_per_address=settings.max_connections_per_address,
        proxies=tuple(settings.trusted_proxies),
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(limits),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the rate limiter reads X-Forwarded-For itself, from trusted proxies only
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=round(settings.shutdown_grace_seconds),
    )
    return uvicorn.Server(config)


def _affordable(connections: int) -> int:
    """So many, or as many as the system lets this process have: out of file descriptors it could not even refuse."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = max(1, soft - _OTHER_FILES)
    logger.warning("MAX_CONNECTIONS is %d, and this process may have %d: see ulimit -n", connections, most)
    return most
