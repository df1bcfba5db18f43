"""Where state is kept: the database, the storage, and what Redis shares, started."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from src.adapters.database.engine import POOL_SIZE, Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.redis.cache import RedisCache
from src.adapters.redis.events import InProcessJobEvents, RedisJobEvents
from src.adapters.redis.limits import RedisCounter, RedisSlots
from src.adapters.redis.link import RedisLink
from src.adapters.storage.private_files import load_or_create_key
from src.api.middleware import BODY_TIMEOUT_SECONDS
from src.bootstrap.storage import make_data_dir, start_storage
from src.config.settings import Settings
from src.domain.accounts import Slots
from src.domain.errors import EngineUnavailable
from src.domain.ports import Cache, JobEvents, RateCounter, Storage
from src.services.deployment.health import Check
from src.services.jobs.ending import JobEnding
from src.utils.cache import Cached, MemoryCache
from src.utils.limits import LocalSlots, WindowCounter


def open_database(settings: Settings, *, pool_size: int = POOL_SIZE) -> Database:
    """Raises EngineUnavailable."""
    key = pseudonym_key(settings)
    try:
        return Database(settings.effective_database_url, pool_size=pool_size, pseudonym_key=key)
    except OSError as error:
        detail = f"DATABASE_URL: sslrootcert names no file of certificates: {type(error).__name__}."
        raise EngineUnavailable(detail) from error


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """With one connection, closed afterwards. Raises EngineUnavailable."""
    database = open_database(settings, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


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


_CACHE_BYTES = 64 * 2**20
"""Of translations and voices, in each process."""
_FALLBACK_SHARE = 0.25
"""Of the limits per minute and of concurrent requests, what each process allows while Redis is away: as one of four."""
_LOOK_SECONDS = 1.0
"""Processes without Redis may share a database all the same: how often they look whether another one ended a job."""

_MARGIN_SECONDS = 60.0
"""What a request may take beside the arriving of its body and the work."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """None of it is the truth: without Redis the service goes on, slower."""

    cache: Cache
    counter: RateCounter
    events: JobEvents
    slots: Slots
    link: RedisLink | None = None

    def notices(self) -> tuple[str, ...]:
        """What is less than it should be now."""
        return () if self.link is None else self.link.notices()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Redis need not be there at the start, nor stay."""
        if self.link is None:
            yield
            return
        try:
            await self.link.start()
            if isinstance(self.events, RedisJobEvents):
                await self.events.start()
            yield
        finally:
            if isinstance(self.events, RedisJobEvents):
                await self.events.close()
            await self.link.close()


def build_shared_state(settings: Settings) -> SharedState:
    """Connects to nothing yet."""
    memory = MemoryCache(_CACHE_BYTES)
    if settings.redis_url is None:
        return SharedState(memory, WindowCounter(), InProcessJobEvents(_LOOK_SECONDS), LocalSlots())
    link = RedisLink(settings.redis_url.get_secret_value())
    counter = RedisCounter(link, _FALLBACK_SHARE)
    longest = BODY_TIMEOUT_SECONDS + settings.sync_timeout_seconds + _MARGIN_SECONDS
    slots = RedisSlots(link, _FALLBACK_SHARE, longest)
    return SharedState(Cached(memory, RedisCache(link)), counter, RedisJobEvents(link), slots, link)


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
