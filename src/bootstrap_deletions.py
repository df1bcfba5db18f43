"""Settings to what deletes: in every process, as each holds copies, and any may have to go on for another."""

import logging
from contextlib import AsyncExitStack
from functools import partial

from src.adapters.database.deletions import SqlDeletions
from src.adapters.database.engine import Database
from src.adapters.database.repositories import SqlUsageRepository
from src.bootstrap_database import pseudonym_notices
from src.bootstrap_jobs import start_background
from src.bootstrap_shared import SharedState
from src.config.settings import Settings
from src.domain.ports import Storage
from src.services.deletions import Deletions

logger = logging.getLogger(__name__)


def start_deletions(
    settings: Settings, database: Database, storage: Storage, shared: SharedState, stack: AsyncExitStack
) -> Deletions:
    """They go on until the stack is closed; then another process does."""
    usage = SqlUsageRepository(database)
    rows = SqlDeletions(database, settings.deletion_settle_seconds, settings.deletion_ttl_seconds)
    old_usage = partial(usage.forget_older_than, settings.usage_ttl_seconds)
    deletions = Deletions(rows, storage, shared.cache, shared.events, old_usage)
    start_background(deletions.run(), stack)
    for notice in pseudonym_notices(settings):
        logger.warning("%s", notice)
    return deletions
