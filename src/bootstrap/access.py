"""Who may call: the key of tokens, revoked tokens, and the audit log."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from urllib.parse import urlsplit

from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.engine import Database
from src.adapters.redis.sessions import SessionCache
from src.adapters.tokens.jwks import JwksKeys
from src.api.middleware.this_machine import ThisMachine
from src.api.middleware.tokens import KeySource, OneKey, TokenVerifier
from src.bootstrap.stores import SharedState, build_shared_state, open_database
from src.config.settings import Settings
from src.domain.accounts import AuditTrail
from src.domain.errors import EngineUnavailable
from src.services.accounts.audit import Audit
from src.services.accounts.sessions import Sessions
from src.services.deployment.health import Check
from src.utils.token_keys import public_key_file, secret_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """`verifier` None: every caller is the user `local`; `loopback_only` tells who that may be, None: anybody.

    `key_set`: of the issuer, where the settings name one.
    """

    verifier: TokenVerifier | None
    loopback_only: ThisMachine | None = None
    key_set: JwksKeys | None = None
    standing_notices: tuple[str, ...] = ()

    def notices(self) -> tuple[str, ...]:
        """What is less safe, or less sure, than it should be now."""
        return (*self.standing_notices, *(self.key_set.notices() if self.key_set else ()))

    def checks(self) -> Mapping[str, Check]:
        """Fails while no token can be checked."""
        return {"token_keys": self.key_set.check} if self.key_set else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While callers are let in."""
        for notice in self.standing_notices:
            logger.warning("%s", notice)
        async with self.key_set.running() if self.key_set else nullcontext():
            yield


def build_access(settings: Settings) -> Access:
    """Connects to nothing yet. Raises EngineUnavailable for a key file that cannot be used."""
    if settings.auth_mode == "jwt":
        key_set = None if settings.jwt_jwks_url is None else JwksKeys(settings.jwt_jwks_url)
        keys = key_set or _own_key(settings)
        verifier = TokenVerifier(keys, settings.jwt_issuer or "", settings.jwt_audience or "")
        return Access(verifier, key_set=key_set)
    if settings.listens_on_loopback:
        return Access(None, ThisMachine(_own_names(settings)))
    open_to_all = f"AUTH_MODE=off and HOST={settings.host}: whoever can reach this service may do everything"
    return Access(None, standing_notices=(open_to_all,))


def _own_names(settings: Settings) -> frozenset[str]:
    public = urlsplit(settings.public_base_url or "").hostname
    return frozenset({public} if public else ())


def _own_key(settings: Settings) -> KeySource:
    if settings.jwt_secret is not None:
        return OneKey(secret_key(settings.jwt_secret.get_secret_value()))
    assert settings.jwt_public_key_file is not None  # noqa: S101 - the settings have exactly one
    try:
        return OneKey(public_key_file(settings.jwt_public_key_file))
    except ValueError as error:
        raise EngineUnavailable(f"JWT_PUBLIC_KEY_FILE: {error}.") from error


def build_sessions(database: Database, shared: SharedState) -> tuple[Sessions, Audit, AuditTrail]:
    log = SqlAuditLog(database)
    audit = Audit(log)
    cache = SessionCache(SqlRevocations(database), shared.link)
    return Sessions(cache, audit), audit, log


@asynccontextmanager
async def running_sessions(settings: Settings) -> AsyncIterator[Sessions]:
    """For commands that need nothing else of the service."""
    shared, database = build_shared_state(settings), open_database(settings, pool_size=1)
    try:
        await database.start()
        async with shared.running():
            yield build_sessions(database, shared)[0]
    finally:
        await database.close()
