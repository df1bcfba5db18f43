"""Where state is kept: the database, the storage, and what Redis shares, started."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.database import open_database, pseudonym_notices
from src.bootstrap.shared import SharedState
from src.bootstrap.storage import make_data_dir, start_storage
from src.config.settings import Settings
from src.domain.ports import Storage
from src.services.deployment.health import Check
from src.services.jobs.ending import JobEnding


@dataclass(frozen=True, slots=True)
class Stores:
    database: Database
    storage: Storage
    shared: SharedState
    storage_checks: Mapping[str, Check]
    standing_notices: tuple[str, ...]

    @property
    def jobs(self) -> SqlJobRepository:
        return SqlJobRepository(self.database)

    @property
    def ending(self) -> JobEnding:
        return JobEnding(self.jobs, self.shared.events, self.storage)

    def checks(self) -> Mapping[str, Check]:
        return {"database": self.database.ping, **self.storage_checks}

    def notices(self) -> tuple[str, ...]:
        """What is less than it should be now."""
        return (*self.shared.notices(), *self.standing_notices, *self.storage.notices())


async def start_stores(settings: Settings, shared: SharedState, stack: AsyncExitStack) -> Stores:
    """Raises EngineUnavailable, Overloaded, DeadlineExceeded."""
    make_data_dir(settings)
    database = open_database(settings)
    stack.push_async_callback(database.close)
    await database.start()
    await stack.enter_async_context(shared.running())
    started = await start_storage(settings, stack)
    notices = (*started.notices, *pseudonym_notices(settings))
    return Stores(database, started.storage, shared, started.checks, notices)
