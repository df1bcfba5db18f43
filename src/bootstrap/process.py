"""What a process begins with: settings, umask and log; for the API, the server that listens for the application."""

import asyncio
import logging
import math
import os
import resource
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial

import uvicorn
from dotenv import dotenv_values
from fastapi import FastAPI
from pydantic import ValidationError

from src.api.connections import MAX_CONNECTIONS, ConnectionLimits, guarded
from src.api.live import MAX_MESSAGE_BYTES
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.utils.tracing import OWN_LOGGER, JsonLines, TextLines, log_uncaught

logger = logging.getLogger(__name__)

_TALKATIVE = ("boto3", "botocore", "httpx", "urllib3")
"""They log addresses at info, whole; that of a webhook may hold a secret."""
_OTHER_FILES = 256
"""Open files beside the callers' connections: libraries, pipes to children, connections to stores."""
_LAST_WORDS_SECONDS = 2.0
"""After the grace time, to answer who still waits."""
_LOOPBACK = ("127.0.0.0/8", "::1/128")
"""A proxy on this machine is not one caller."""


_MOVED = {
    "DATABASE_TLS": "say it in DATABASE_URL: ?ssl=verify-full&sslrootcert=FILE",
    "DATABASE_CA_FILE": "say it in DATABASE_URL: ?ssl=verify-full&sslrootcert=FILE",
    "REDIS_CA_FILE": "say it in REDIS_URL: ?ssl_ca_certs=FILE",
    "REDIS_CERTIFICATE_FILE": "say it in REDIS_URL: ?ssl_certfile=FILE&ssl_keyfile=FILE",
    "S3_CA_FILE": "set AWS_CA_BUNDLE",
    "S3_ENCRYPTION": "set the bucket's default encryption",
    "HSTS_SECONDS": "the proxy that has TLS adds the header; with TLS_CERTIFICATE_FILE it is there",
    "TLS_PRIVATE_KEY_PASSWORD": "TLS_PRIVATE_KEY_FILE has no password",
    "MODERATION_ON_FAILURE": "MODERATION_POLICY=block refuses, flag lets pass",
}
"""Settings of earlier releases that made something safer: a start that ignored them would be less safe in silence."""


def load_settings() -> Settings | None:
    """None when one of them is wrong: then standard error says which, and why."""
    given = {**dotenv_values(".env"), **os.environ}
    moved = [f"{name} is no setting any more: {instead}." for name, instead in _MOVED.items() if given.get(name)]
    if moved:
        print("\n".join(moved), file=sys.stderr)  # noqa: T201
        return None
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"{name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        return None


def be_private() -> None:
    """What this process and its children make is for this user only."""
    os.umask(0o077)


def configure_logging(level: str, form: str, role: str) -> None:
    """One line per record on standard error. `form` as LOG_FORMAT; `role`, for JSON: api or worker."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(role) if as_json else TextLines())
    own = getattr(logging, level.upper())
    # Libraries' own debugging holds what people said, and what opens doors: rows, headers, bodies.
    logging.basicConfig(level=max(own, logging.INFO), handlers=[handler])
    logging.getLogger(OWN_LOGGER).setLevel(own)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    log_uncaught()


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
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_seconds + _LAST_WORDS_SECONDS),
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound does not become smaller by it
        ssl_certfile=settings.tls_certificate_file,
        ssl_context_factory=partial(_context, settings) if settings.tls_certificate_file else None,
    )
    config.load()
    return _Server(config, app.state.stopping, app.state.ending, settings.shutdown_grace_seconds)


class _Server(uvicorn.Server):
    """Told to end, it sets `stopping`, and `ending` after the grace time: who still waits is answered before requests
    are cancelled.
    """

    def __init__(
        self, config: uvicorn.Config, stopping: asyncio.Event, ending: asyncio.Event, grace_seconds: float
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._ending = ending
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        asyncio.get_running_loop().call_later(self._grace_seconds, self._ending.set)
        await super().shutdown(sockets)


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
