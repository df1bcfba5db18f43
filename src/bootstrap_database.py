"""Settings to the database that they name, and what all who share it agree on."""

from src.adapters.database.engine import Database
from src.config.settings import Settings

LIVE_LEASES = 2
"""For so many leases after its last heartbeat a worker is taken to live."""


def open_database(settings: Settings, *, pool_size: int | None = None) -> Database:
    return Database(
        settings.effective_database_url,
        pool_size=pool_size or settings.database_pool_size,
        timeout_seconds=settings.database_pool_timeout_seconds,
        connect_seconds=settings.database_connect_timeout_seconds,
        statement_seconds=settings.database_statement_timeout_seconds,
    )


def live_seconds(settings: Settings) -> float:
    return LIVE_LEASES * settings.job_lease_seconds
