"""The connection to Redis: short deadlines, one log line when it is lost, reconnected when Redis is back.

Nothing that this service keeps in Redis is the truth, so every use has an answer for its absence: a miss, a local
count, a look at the row.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PREFIX = "voice-translation"
"""Of every key and channel."""
TIMEOUT_SECONDS = 0.1
"""For one use; then the service goes on without it."""

_PROBE_KEY = f"{PREFIX}:probe"
_PROBE_TTL_SECONDS = 10
_CLOSE_SECONDS = 1.0


class RedisDown(Exception):
    """Redis was not asked, as it is known to be away, or did not serve within the deadline."""


class RedisLink:
    """One client for one event loop. `start` it before use: a task writes a small key every `watch_seconds`.

    url              redis://, rediss:// (TLS; certificates are checked) or unix://, with what redis-py reads from it
    timeout_seconds  for one use, the connecting included
    calm_seconds     without a failure, before it counts as sound again; it is used as soon as a probe succeeds
    max_uses         at the same time, each on a connection; more wait for their turn, no longer than `timeout_seconds`
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float = TIMEOUT_SECONDS,
        *,
        watch_seconds: float = 1.0,
        calm_seconds: float = 5.0,
        max_uses: int = 8,
    ) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._watch_seconds = watch_seconds
        self._calm_seconds = calm_seconds
        self._client = self.new_client()
        self._prober = self.new_client()
        self._slots = asyncio.Semaphore(max_uses)
        self._up = False
        self._doubt = asyncio.Event()
        self._failure: str | None = None
        self._failed_at = 0.0  # on the monotonic clock
        self._watcher: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pool(self) -> ConnectionPool:
        return self._client.connection_pool

    @property
    def up(self) -> bool:
        """Whether a use made now would be tried."""
        return self._up

    def notices(self) -> tuple[str, ...]:
        """A line for the operator while Redis is away, and for `calm_seconds` after its last failure."""
        if self._failure is None:
            return ()
        return (f"redis: {self._failure}; caches and rate limits are this process's own meanwhile",)

    async def start(self) -> None:
        """Returns when the first probe was answered or timed out. Redis need not be there."""
        await self._probe()
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        self._up, self._closed = False, True
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for client in (self._client, self._prober):
            with suppress(TimeoutError, RedisError, OSError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await client.aclose()

    def new_client(self, *, patient: bool = False) -> Redis:
        """A client with connections of its own. `patient`: reads may wait for ever, as those of a subscription do."""
        pool = ConnectionPool.from_url(
            self._url,
            socket_timeout=None if patient else self._timeout_seconds,
            socket_connect_timeout=self._timeout_seconds,
            socket_keepalive=True,
            driver_info=None,  # telling Redis what connects would take two round trips more
            retry=Retry(NoBackoff(), 0),  # a second attempt would take a second time-out
        )
        return Redis.from_pool(pool)

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Redis]:
        """The client, for commands that together have `timeout_seconds`. Raises RedisDown, at once while it is away."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise RedisDown from None  # too many at a time here, which says nothing about Redis
        try:
            if not self._up:  # asked here, as it may have failed while this use waited for its turn
                raise RedisDown
            async with asyncio.timeout(self._timeout_seconds):
                yield self._client
        except (RedisError, OSError) as error:  # OSError has TimeoutError among its kinds
            self._fail(error)
            raise RedisDown from error
        finally:
            self._slots.release()

    async def _watch(self) -> None:
        while not self._closed:  # a cancellation that meets a connection that just fails may be lost in the client
            # Not wait_for, which before Python 3.12 swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._watch_seconds):
                    await self._doubt.wait()
            self._doubt.clear()
            await self._probe()

    async def _probe(self) -> None:
        """A write, as a full or read-only Redis answers a PING."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._prober.set(_PROBE_KEY, b"", ex=_PROBE_TTL_SECONDS)
        except (RedisError, OSError) as error:
            self._fail(error, doubt=False)
            return
        self._up = True
        if self._failure is not None and time.monotonic() - self._failed_at >= self._calm_seconds:
            self._failure = None
            logger.info("redis: serves again")

    def _fail(self, error: Exception, *, doubt: bool = True) -> None:
        """Leave Redis alone until a probe succeeds. With `doubt` that is tried at once, else at the next watch."""
        self._up = False
        self._failed_at = time.monotonic()
        if doubt:
            self._doubt.set()
        if self._failure is None:
            # The kind only: a message may name hosts, users or keys, and `/health` is open to all.
            self._failure = f"does not serve ({type(error).__name__})"
            logger.warning("redis: does not serve (%s); going on without it until it does", type(error).__name__)
