"""Settings to the database that they name, what all who share it agree on, and what deletes from it."""

import logging
from contextlib import AsyncExitStack
from functools import partial

from src.adapters.database.accounts.audio_ledger import SqlAudioLedger
from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.engine import POOL_SIZE, Database
from src.adapters.storage.private_files import load_or_create_key
from src.bootstrap.shared import SharedState
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.ports import Storage
from src.services.accounts.audio_budget import AudioBudget
from src.services.accounts.deletions import Deletions
from src.utils.concurrency import start_background

logger = logging.getLogger(__name__)

LIVE_LEASES = 2
"""For so many leases after its last heartbeat a worker is taken to live."""
_USAGE_SECONDS = 366 * 24 * 3600.0
"""What a user used is counted for a year."""


def open_database(settings: Settings, *, pool_size: int = POOL_SIZE) -> Database:
    """Raises EngineUnavailable."""
    try:
        return _database(settings, pool_size)
    except OSError as error:
        raise EngineUnavailable(
            f"DATABASE_URL: sslrootcert names no file of certificates: {type(error).__name__}."
        ) from error


def _database(settings: Settings, pool_size: int) -> Database:
    return Database(
        settings.effective_database_url,
        pool_size=pool_size,
        pseudonym_key=pseudonym_key(settings),
    )


def pseudonym_key(settings: Settings) -> bytes:
    """Of the settings, or made once for this machine. Blocks for a moment."""
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.get_secret_value().encode()
    return load_or_create_key(settings.data_dir / "pseudonyms.key")


def pseudonym_notices(settings: Settings) -> tuple[str, ...]:
    """What an operator should know."""
    if settings.workers == "local" or settings.pseudonym_key is not None:
        return ()
    return ("PSEUDONYM_KEY is not set: each process with a DATA_DIR of its own has other pseudonyms for the deleted",)


def audio_budget(settings: Settings, database: Database) -> AudioBudget | None:
    """None: there is no limit."""
    seconds = settings.rate_limit_audio_seconds_per_day
    return AudioBudget(SqlAudioLedger(database), seconds) if seconds else None


def live_seconds(settings: Settings) -> float:
    return LIVE_LEASES * settings.job_lease_seconds


def start_deletions(
    settings: Settings, database: Database, storage: Storage, shared: SharedState, stack: AsyncExitStack
) -> Deletions:
    """They go on until the stack is closed; then another process does."""
    usage = SqlUsageRepository(database)
    rows = SqlDeletions(database)
    old_usage = partial(usage.forget_older_than, _USAGE_SECONDS)
    deletions = Deletions(rows, storage, shared.cache, shared.events, old_usage)
    start_background(deletions.run(), stack)
    for notice in pseudonym_notices(settings):
        logger.warning("%s", notice)
    return deletions
