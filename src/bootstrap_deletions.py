"""Settings to what deletes: in every process, as each holds copies, and any may have to go on for another."""

from contextlib import AsyncExitStack

from src.adapters.database.deletions import SqlDeletions
from src.adapters.database.engine import Database
from src.bootstrap_jobs import start_background
from src.bootstrap_shared import SharedState
from src.config.settings import Settings
from src.domain.ports import Storage
from src.services.deletions import Deletions


def deletion_rows(settings: Settings, database: Database) -> SqlDeletions:
    return SqlDeletions(database, settings.deletion_settle_seconds, settings.deletion_ttl_seconds)


def start_deletions(rows: SqlDeletions, storage: Storage, shared: SharedState, stack: AsyncExitStack) -> Deletions:
    """They go on until the stack is closed; then another process does."""
    deletions = Deletions(rows, storage, shared.cache, shared.events)
    start_background(deletions.run(), stack)
    return deletions
