"""Settings to who may call, who may go on calling, and the log of who did what."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from src.adapters.cache.session_cache import SessionCache
from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.engine import Database
from src.adapters.tokens.jwks import JwksKeys
from src.api.middleware.this_machine import ThisMachine
from src.api.middleware.tokens import KeySource, OneKey, TokenVerifier
from src.bootstrap.database import open_database
from src.bootstrap.shared import SharedState, build_shared_state
from src.config.settings import Settings
from src.domain.accounts import AuditTrail
from src.domain.errors import EngineUnavailable
from src.services.accounts.audit import Audit
from src.services.accounts.sessions import Sessions
from src.services.health import Check
from src.utils.token_keys import public_key_file, secret_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """`verifier` None: every caller is the user `local`, and `here` says who may be; None: anybody."""

    verifier: TokenVerifier | None
    here: ThisMachine | None = None
    keys: KeySource | None = None
    standing_notices: tuple[str, ...] = ()

    def notices(self) -> tuple[str, ...]:
        """What is less safe, or less sure, than it should be now."""
        passing = self.keys.notices() if isinstance(self.keys, JwksKeys) else ()
        return (*self.standing_notices, *passing)

    def checks(self) -> Mapping[str, Check]:
        """Fails while no token can be checked."""
        return {"token_keys": self.keys.check} if isinstance(self.keys, JwksKeys) else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While callers are let in."""
        for notice in self.standing_notices:
            logger.warning("%s", notice)
        if isinstance(self.keys, JwksKeys):
            async with self.keys.running():
                yield
        else:
            yield


def build_access(settings: Settings) -> Access:
    """Connects to nothing yet. Raises EngineUnavailable for a key file that cannot be used."""
    if settings.auth_mode == "off":
        if settings.listens_on_loopback:
            return Access(None, ThisMachine(_own_names(settings)))
        open_to_all = f"AUTH_MODE=off and HOST={settings.host}: whoever can reach this service may do everything"
        return Access(None, standing_notices=(open_to_all,))
    keys = _key_source(settings)
    return Access(TokenVerifier(keys, settings.jwt_issuer or "", settings.jwt_audience or ""), keys=keys)


def _own_names(settings: Settings) -> frozenset[str]:
    public = urlsplit(settings.public_base_url or "").hostname
    return frozenset({public} if public else ())


def _key_source(settings: Settings) -> KeySource:
    """The settings have exactly one."""
    if settings.jwt_secret is not None:
        return OneKey(secret_key(settings.jwt_secret.get_secret_value()))
    if settings.jwt_public_key_file is not None:
        try:
            return OneKey(public_key_file(settings.jwt_public_key_file))
        except ValueError as error:
            raise EngineUnavailable(f"JWT_PUBLIC_KEY_FILE: {error}.") from error
    return JwksKeys(settings.jwt_jwks_url or "")


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
