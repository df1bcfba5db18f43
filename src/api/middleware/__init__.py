"""What every request passes through before it reaches a route, from the outside in:

head          answers HEAD as GET
request_id    takes or makes X-Request-ID and traceparent; writes the access log
headers       security headers
cors          answers preflights, when origins are allowed at all
envelope      wraps JSON answers for those who ask, errors included
errors        whatever is raised further in becomes problem+json
origin        pages of other origins open no WebSocket
rate_limit    of the client's address, before a token is looked at: guessing tokens counts
auth          bearer token to Identity, if it was not revoked and has the scope that the path needs
user_limits   how many requests of the user are in work
rate_limit    of the user, for translations
rate_limit    of the user's audio of the day
body_limit    reads the body; behind the others, so that nobody fills memory who may not call
"""

from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from src.api import error_handlers
from src.api.middleware.auth import ON_BEHALF_OF, AuthMiddleware, SecretCheck, SessionCheck
from src.api.middleware.body_limit import BodyLimitMiddleware
from src.api.middleware.envelope import EnvelopeMiddleware
from src.api.middleware.errors import ErrorMiddleware
from src.api.middleware.headers import HeadMiddleware, SecurityHeadersMiddleware
from src.api.middleware.rate_limit import (
    ConcurrencyMiddleware,
    LimitMiddleware,
    QuotaOf,
    audio_of_a_day,
    client_of,
    per_minute,
    user_of,
)
from src.api.middleware.request_id import RequestIdMiddleware
from src.api.middleware.this_machine import OriginMiddleware, ThisMachine
from src.api.middleware.tokens import TokenVerifier
from src.domain.accounts import Slots
from src.domain.identity import SCOPE_ADMIN, SCOPE_VOICE
from src.domain.ports import RateCounter
from src.utils.limits import LocalSlots, WindowCounter

_WORK = ("/api/v1/voice", "/v1/audio")
TRANSLATE_PATH = "/api/v1/voice/translate"
_FORMS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
_WITH_AUDIO = frozenset({TRANSLATE_PATH, "/api/v1/voice/transcribe", "/api/v1/voice/profile", *_FORMS})
"""Not `clone`, which may go without."""
_PROBES = ("/health",)
_SIGNED_AUDIO = ("/api/v1/audio",)
_PUBLIC = frozenset({"/", "/openapi.json", "/docs", "/favicon.ico"})
_PAGE_FILES = ("/web", "/docs-assets")
_ADMIN = ("/api/v1/admin",)

_CALLER_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Prefer",
    "X-Request-ID",
    "traceparent",
    ON_BEHALF_OF,
]
_ANSWER_HEADERS = [
    *(
        "Link",
        "Location",
        "Preference-Applied",
        "Retry-After",
        "X-Request-ID",
        "traceparent",
        "RateLimit",
        "RateLimit-Policy",
    ),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
]


BODY_TIMEOUT_SECONDS = 60.0
"""For a whole body, from its first byte to its last."""


@dataclass(frozen=True, slots=True)
class Edge:
    """How the edge of the service is set."""

    max_body_bytes: int
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS
    max_held_bytes: int = 512 * 2**20
    """Of all request bodies at one time."""
    verifier: TokenVerifier | None = None
    """None: every caller is the user `local`."""
    loopback_only: ThisMachine | None = None
    """Without a verifier: who that is. None: whoever can reach the service."""
    secret_check: SecretCheck | None = None
    """Whose client secrets are. None: there are none."""
    session_check: SessionCheck | None = None
    """Refuses tokens that were revoked. None: none can be."""
    translations_per_minute: int = 0
    """Per user. 0: no limit."""
    requests_per_minute: int = 0
    """Per client address; probes and audio downloads do not count. 0: no limit."""
    counter: RateCounter = field(default_factory=WindowCounter)
    """Of both limits."""
    concurrent_per_user: int = 0
    """Requests that a user may have in work. 0: no limit."""
    slots: Slots = field(default_factory=LocalSlots)
    """Of those."""
    audio_quota: QuotaOf | None = None
    """None: there is no limit on the audio of a day."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    cors_origins: tuple[str, ...] = ()
    public_origin: str | None = None
    """Under which callers reach this server, beside the host that they name."""
    hsts_seconds: int = 0
    """Of Strict-Transport-Security. 0: none."""


def install(app: FastAPI, edge: Edge) -> None:
    """Put the error handlers and every middleware round `app`. Starlette puts the last one added outermost."""
    error_handlers.install(app)
    app.add_middleware(
        BodyLimitMiddleware,
        max_bytes=edge.max_body_bytes,
        timeout_seconds=edge.body_timeout_seconds,
        max_held_bytes=edge.max_held_bytes,
        forms=_FORMS,
    )
    if edge.audio_quota:
        app.add_middleware(LimitMiddleware, audio_of_a_day(edge.audio_quota), user_of(_WITH_AUDIO.__contains__))
    if edge.translations_per_minute:
        limit = per_minute(edge.counter, "user", edge.translations_per_minute)
        app.add_middleware(LimitMiddleware, limit, user_of(TRANSLATE_PATH.__eq__))
    if edge.concurrent_per_user:
        key = user_of(lambda path: _under(path, _WORK))
        app.add_middleware(ConcurrencyMiddleware, edge.slots, edge.concurrent_per_user, key)
    app.add_middleware(
        AuthMiddleware, edge.verifier, required_scope, edge.session_check, edge.loopback_only, edge.secret_check
    )
    if edge.requests_per_minute:
        limit = per_minute(edge.counter, "client", edge.requests_per_minute)
        app.add_middleware(LimitMiddleware, limit, client_of(edge.trusted_proxies, is_unlimited))
    own = (edge.public_origin,) if edge.public_origin else ()
    app.add_middleware(OriginMiddleware, (*edge.cors_origins, *own))
    app.add_middleware(ErrorMiddleware, linger_bytes=2 * edge.max_body_bytes, linger_seconds=edge.body_timeout_seconds)
    app.add_middleware(EnvelopeMiddleware)
    if edge.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=edge.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=_CALLER_HEADERS,
            expose_headers=_ANSWER_HEADERS,
        )
    app.add_middleware(SecurityHeadersMiddleware, edge.hsts_seconds)
    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(HeadMiddleware)


def is_public(path: str) -> bool:
    """Whether a path is open to callers without a token: probes, the page, the documentation, signed downloads."""
    return path in _PUBLIC or _under(path, _PROBES + _PAGE_FILES + _SIGNED_AUDIO)


def required_scope(path: str) -> str | None:
    """What a token must allow for a path, so also for one that nobody thought of; None: it is public."""
    if is_public(path):
        return None
    return SCOPE_ADMIN if _under(path, _ADMIN) else SCOPE_VOICE


def is_unlimited(path: str) -> bool:
    """Whether requests to a path do not count for the client's limit: probes and signed downloads."""
    return _under(path, _PROBES + _SIGNED_AUDIO)


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
