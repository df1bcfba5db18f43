"""Settings to who may go on calling, and the log of who did what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.adapters.cache.session_cache import SessionCache
from src.adapters.database.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.adapters.database.revocations import SqlRevocations
from src.bootstrap_database import open_database
from src.bootstrap_shared import SharedState, build_shared_state
from src.config.settings import Settings
from src.domain.audit import AuditTrail
from src.services.audit import Audit
from src.services.sessions import Sessions


def build_sessions(settings: Settings, database: Database, shared: SharedState) -> tuple[Sessions, Audit, AuditTrail]:
    log = SqlAuditLog(database)
    audit = Audit(log, settings.audit_ttl_seconds)
    cache = SessionCache(SqlRevocations(database), shared.link)
    return Sessions(cache, audit, token_lifetime_seconds=settings.jwt_max_lifetime_seconds), audit, log


@asynccontextmanager
async def running_sessions(settings: Settings) -> AsyncIterator[Sessions]:
    """For commands that need nothing else of the service."""
    shared, database = build_shared_state(settings), open_database(settings, pool_size=1)
    try:
        await database.start()
        async with shared.running():
            yield build_sessions(settings, database, shared)[0]
    finally:
        await database.close()
