"""Job events in one process, and between processes over Redis publish and subscribe."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from src.adapters.redis.link import PREFIX, RedisDown, RedisLink


class Listener:
    """Implements Wake for one event loop."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        # Not wait_for, which before Python 3.12 swallows a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()


class InProcessJobEvents:
    """Implements JobEvents for one event loop. `patience_seconds`: short where other processes end jobs too."""

    def __init__(self, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        self._listeners: dict[str, set[Listener]] = {}

    @property
    def patience_seconds(self) -> float:
        return self._patience_seconds

    async def publish(self, job_id: str) -> None:
        self.wake(job_id)

    def wake(self, job_id: str) -> None:
        for listener in self._listeners.get(job_id, ()):
            listener.wake()

    def wake_all(self) -> None:
        for job_id in self._listeners:
            self.wake(job_id)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[Listener]:
        listener = Listener()
        listeners = self._listeners.setdefault(job_id, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(job_id) is listeners:
                del self._listeners[job_id]


logger = logging.getLogger(__name__)

_CHANNEL = f"{PREFIX}:jobs:ended"
_CLOSE_SECONDS = 1.0


class RedisJobEvents:
    """Implements JobEvents: one subscription for each process, to the ids of all jobs that end.

    Redis keeps no event for a subscriber that is away. So everyone who waits is woken when the subscription is lost
    and when it is back, and while it is lost looks at the row every `poll_seconds`. A subscription that is silent for
    `silence_seconds` is asked for a sign of life, and lost when it gives none for as long.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        patience_seconds: float = 5.0,
        poll_seconds: float = 0.25,
        silence_seconds: float = 1.0,
        retry_seconds: float = 0.5,
    ) -> None:
        self._link = link
        self._patience_seconds = patience_seconds
        self._poll_seconds = poll_seconds
        self._silence_seconds = silence_seconds
        self._retry_seconds = retry_seconds
        self._local = InProcessJobEvents()
        self._subscribed = False
        self._reader: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def patience_seconds(self) -> float:
        return self._patience_seconds if self._subscribed else self._poll_seconds

    def listening(self, job_id: str) -> AbstractContextManager[Listener]:
        return self._local.listening(job_id)

    async def publish(self, job_id: str) -> None:
        """Those of this process hear it without Redis."""
        self._local.wake(job_id)
        with suppress(RedisDown):
            async with self._link.use() as redis:
                await redis.publish(_CHANNEL, job_id)

    async def start(self) -> None:
        self._reader = asyncio.create_task(self._read_for_ever())

    async def close(self) -> None:
        self._closed = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read_for_ever(self) -> None:
        while not self._closed:  # as in the link's own task: a cancellation may be lost in the client
            client = self._link.new_client(patient=True)
            pubsub = client.pubsub()
            try:
                await self._read(pubsub)
            except (RedisError, OSError) as error:
                # The link says in the log and in `/health` that Redis is away.
                logger.debug("the subscription to job events was lost: %s", type(error).__name__)
            finally:
                self._lose()
                await _close(pubsub, client)
            await asyncio.sleep(self._retry_seconds)

    async def _read(self, pubsub: PubSub) -> None:
        """Until the subscription is lost. Raises RedisError, OSError."""
        async with asyncio.timeout(self._silence_seconds):
            await pubsub.subscribe(_CHANNEL)
        asked = True  # the answer to SUBSCRIBE is due
        while True:
            message = await pubsub.get_message(timeout=self._silence_seconds)
            if message is None:
                if asked:
                    raise TimeoutError
                async with asyncio.timeout(self._silence_seconds):
                    await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self._subscribed = True
                self._local.wake_all()
            elif message["type"] == "message":
                self._local.wake(message["data"].decode(errors="replace"))

    def _lose(self) -> None:
        if self._subscribed:
            self._subscribed = False
            self._local.wake_all()


async def _close(pubsub: PubSub, client: Redis) -> None:
    with suppress(TimeoutError, RedisError, OSError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()
