"""The HTTP server that listens for the application: its connections and its certificate."""

import logging
import resource
import ssl
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI

from src.api.connections import MAX_CONNECTIONS, ConnectionLimits, guarded
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_OTHER_FILES = 256
"""Open files beside the callers' connections: libraries, pipes to children, connections to stores."""
_LOOPBACK = ("127.0.0.0/8", "::1/128")
"""A proxy on this machine is not one caller."""


def build_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """Raises EngineUnavailable when the certificate and its key cannot be used."""
    proxies = (*settings.trusted_proxies, *_LOOPBACK)
    limits = ConnectionLimits(most=_affordable(MAX_CONNECTIONS), proxies=proxies)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(limits),
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the rate limiter reads X-Forwarded-For itself, from trusted proxies only
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_grace_seconds),
        ssl_certfile=settings.tls_certificate_file,
        ssl_context_factory=partial(_context, settings) if settings.tls_certificate_file else None,
    )
    config.load()
    return uvicorn.Server(config)


def _context(settings: Settings, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An empty password: without any OpenSSL would ask at the terminal for that of an encrypted key.
        context.load_cert_chain(str(settings.tls_certificate_file), str(settings.tls_private_key_file), "")
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else type(error).__name__
        raise EngineUnavailable(f"TLS_CERTIFICATE_FILE and TLS_PRIVATE_KEY_FILE cannot be used: {reason}.") from error
    return context


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
    logger.warning("this process may have %d of %d connections: see ulimit -n", most, connections)
    return most
