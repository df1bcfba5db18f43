"""Job ids over Dramatiq on Redis, from the processes that take requests to those that do jobs.

A message says that a job waits. Which one is next, and whether any is, the rows say: a message that is lost costs time
and no job, one too many costs a look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import dramatiq
import dramatiq.worker
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from src.adapters.redis.link import PREFIX, TIMEOUT_SECONDS, RedisLink

logger = logging.getLogger(__name__)

_QUEUE, _ACTOR = "jobs", "do_jobs"
_HEARTBEAT_MILLISECONDS = 5_000
_ALWAYS = 1_000_000
"""Of a million commands, those that look for messages of consumers that died. With both, 20 of 20 jobs survived eight
kills in three seconds; with Dramatiq's own values 12 did, in a minute."""
_IDLE_MILLISECONDS = 10
"""Between two looks of an idle consumer: what a job waits, at most, before its worker hears of it."""
_CONSUMER_TIMEOUT_SECONDS = 5.0
_NAMESPACE = f"{PREFIX}:dramatiq"
_KEYS_TTL_SECONDS = 24 * 3600
_TTL_EVERY_SECONDS = 10.0
"""Dramatiq gives its keys no time to live; the consumers do, so that nothing stays when the last of them is gone."""
dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = 0.5
"""After Redis was away, and when it stops. Dramatiq's own are three."""


class _OnceSaid(logging.Filter):
    """Leaves out what Dramatiq says about a lost Redis, twice a second: the link says it once, and when it is back."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(("Consumer encountered a connection error", "Restarting consumer"))


_ONCE_SAID = _OnceSaid()


def _broker(url: str, timeout_seconds: float) -> RedisBroker:
    client = redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        driver_info=None,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        middleware=[],  # retries, time limits and results are the rows' business
        namespace=_NAMESPACE,
        heartbeat_timeout=_HEARTBEAT_MILLISECONDS,
        maintenance_chance=_ALWAYS,
    )


class DramatiqQueue:
    """Implements JobQueue. While Redis is away the workers look at the rows by themselves."""

    def __init__(self, url: str, link: RedisLink, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._broker = _broker(url, timeout_seconds)
        self._link = link

    async def put(self, job_id: str) -> None:
        if not self._link.up:
            return
        try:
            await asyncio.to_thread(self._broker.enqueue, _message(job_id))
        except (RedisError, OSError) as error:
            logger.warning("job %s was not announced: %s", job_id, type(error).__name__)

    async def close(self) -> None:
        await asyncio.to_thread(self._broker.client.close)


class DramatiqConsumer:
    """Calls `serve` on this event loop for every message, `concurrency` at a time. It returns when its work is done, so
    that a busy worker leaves the messages to others; with False, it did nothing, and the message goes back.
    """

    def __init__(self, url: str, serve: Callable[[], Awaitable[bool]], concurrency: int) -> None:
        self._broker = _broker(url, _CONSUMER_TIMEOUT_SECONDS)
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        dramatiq.actor(broker=self._broker, actor_name=_ACTOR, queue_name=_QUEUE)(self._do_jobs)
        self._worker = dramatiq.Worker(
            self._broker, queues={_QUEUE}, worker_timeout=_IDLE_MILLISECONDS, worker_threads=concurrency
        )
        self._worker.queue_prefetch = concurrency
        for name in (_QUEUE, dq_name(_QUEUE)):
            logging.getLogger(f"dramatiq.worker.ConsumerThread({name})").addFilter(_ONCE_SAID)
        self._ttl: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._worker.start)
        self._ttl = asyncio.create_task(self._renew_ttl_for_ever())

    def pause(self) -> None:
        """Take no more messages."""
        for consumer in self._worker.consumers.values():
            consumer.pause()

    async def close(self, seconds: float) -> None:
        """Wait for calls of `serve`, that long at most. Messages that nobody has begun go back."""
        if self._ttl is not None:
            self._ttl.cancel()
            await asyncio.gather(self._ttl, return_exceptions=True)
        await asyncio.to_thread(self._worker.stop, round(seconds * 1000))
        await asyncio.to_thread(self._broker.client.close)

    async def _renew_ttl_for_ever(self) -> None:
        while True:
            with suppress(RedisError, OSError):  # while it is away nothing is kept too long
                await asyncio.to_thread(self._renew_ttl)
            await asyncio.sleep(_TTL_EVERY_SECONDS)

    def _renew_ttl(self) -> None:
        client = self._broker.client
        for key in client.scan_iter(f"{_NAMESPACE}:*"):
            client.expire(key, _KEYS_TTL_SECONDS)

    def _do_jobs(self, job_id: str) -> None:
        """In a thread of Dramatiq's."""
        if not asyncio.run_coroutine_threadsafe(self._call(), self._loop).result():
            with suppress(RedisError):
                self._broker.enqueue(_message(job_id))

    async def _call(self) -> bool:
        try:
            return await self._serve()
        except asyncio.CancelledError:
            return False


def _message(job_id: str) -> "dramatiq.Message[None]":
    return dramatiq.Message(_QUEUE, _ACTOR, (job_id,), {}, {})
