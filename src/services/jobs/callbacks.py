"""Callbacks: which addresses are taken, and the loop that delivers what the outbox holds.

A message is delivered at least once: twice when a process dies after the receiver took it and before that was noted.
The id stays the same, so that a receiver can tell.
"""

import asyncio
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from src.domain.callbacks import Callback, CallbackOutbox, CallbackSender, Receipt
from src.domain.errors import RequestInvalid, VoiceServiceError, about
from src.utils.public_addresses import AddressRules
from src.utils.tracing import where

logger = logging.getLogger(__name__)

MAX_URL_LENGTH = 2048
PAUSES_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""After attempts that fail; after 28 hours the callback is given up."""

_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""The characters of RFC 3986."""
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_LEASE_SECONDS = 30.0
"""Above the longest attempt; a process that dies in one holds its callback for so long."""
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.5
_AFTER_TROUBLE_SECONDS = 5.0
_COUNT_SECONDS = 15.0
_LATE_SECONDS = 60.0
_MOST_COUNTED = 10_000
_MANY = 100


class CallbackAddresses:
    """Which `callback_url` a request may name. `signed`: whether there is a secret, without which none is taken."""

    def __init__(self, rules: AddressRules, *, signed: bool, allow_http: bool) -> None:
        self._rules = rules
        self._signed = signed
        self._schemes = ("https", "http") if allow_http else ("https",)

    def check(self, url: str) -> None:
        """Raises RequestInvalid. Names are looked up when the callback is sent, and not here."""
        with about("callback_url"):
            if not self._signed:
                raise RequestInvalid("This service sends no callbacks: its operator has set no WEBHOOK_SECRET.")
            if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
                raise RequestInvalid(f"Send a URL of at most {MAX_URL_LENGTH} ASCII characters, others %-encoded.")
            self._check_parts(_split(url))

    def _check_parts(self, parts: SplitResult) -> None:
        if parts.scheme not in self._schemes:
            raise RequestInvalid(f"It begins with {' or '.join(f'{scheme}://' for scheme in self._schemes)}.")
        if "@" in parts.netloc:
            raise RequestInvalid("It must hold no user name and no password.")
        if parts.fragment:
            raise RequestInvalid("It must have no fragment (#…): that is never sent.")
        self._check_host(parts)

    def _check_host(self, parts: SplitResult) -> None:
        host = parts.hostname or ""
        try:
            address = ip_address(host)
        except ValueError:
            if "[" in parts.netloc or not _is_name(host):
                raise RequestInvalid("It names no host. Write names in ASCII (xn--…).") from None
            return
        if not self._rules.permit(address):
            raise RequestInvalid("Its address is not of the public internet.")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RequestInvalid("It is not a URL: its host or port cannot be read.") from None
    if port == 0:
        raise RequestInvalid("Port 0 is none.")
    return parts


def _is_name(host: str) -> bool:
    """Not so for 127.1 or 0x7f000001, which some programs take for addresses."""
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not _NUMBER.fullmatch(labels[-1])


@dataclass(eq=False)
class CallbackDelivery:
    """Takes due callbacks from the outbox and sends them, `concurrency` at a time and `per_host` to one host, so that a
    slow receiver does not hold the others.

    `pauses_seconds`: after the first attempt that fails, the second, …; when they are used up the callback is given up.
    """

    outbox: CallbackOutbox
    sender: CallbackSender
    pauses_seconds: Sequence[float] = PAUSES_SECONDS
    _: KW_ONLY
    concurrency: int = 16
    per_host: int = 2
    poll_seconds: float = _POLL_SECONDS
    jitter: Callable[[float, float], float] = random.uniform
    counts: Counter[str] = field(default_factory=Counter, init=False)
    """Of this process: `delivered`, `failed` attempts, `given_up`."""
    _sending: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _hosts: Counter[str] = field(default_factory=Counter, init=False)
    _slot_free: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _late: int = field(default=0, init=False)
    _counted_at: float = field(default=0.0, init=False)

    def notices(self) -> tuple[str, ...]:
        """What an operator should know."""
        if self._late < _MANY:
            return ()
        given_up = self.counts["given_up"]
        return (f"callbacks: {self._late} wait for more than a minute; {given_up} given up since the start",)

    async def run(self) -> None:
        """For ever. When it is cancelled, running attempts have a moment to end, so that what was taken is noted."""
        try:
            while True:
                self._slot_free.clear()
                try:
                    more = await self._start_one()
                    await self._count()
                except VoiceServiceError as error:
                    logger.warning("callbacks wait for the database: %s", error.code)
                    await asyncio.sleep(_AFTER_TROUBLE_SECONDS)
                except Exception as error:  # noqa: BLE001 - a defect must not end the deliveries of this process
                    logger.error("the loop that delivers callbacks failed, and goes on\n%s", where(error))
                    await asyncio.sleep(_AFTER_TROUBLE_SECONDS)
                else:
                    if not more:
                        await self._rest()
        finally:
            await self._finish()

    async def _start_one(self) -> bool:
        """Whether one was due, and there was room to begin it."""
        if len(self._sending) >= self.concurrency:
            return False
        busy = [host for host, attempts in self._hosts.items() if attempts >= self.per_host]
        callback = await self.outbox.claim(_LEASE_SECONDS, busy)
        if callback is None:
            return False
        self._hosts[callback.host] += 1
        task = asyncio.create_task(self._attempt(callback))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return True

    async def _rest(self) -> None:
        """Until an attempt ends, or it is time to look again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.poll_seconds):
                await self._slot_free.wait()

    async def _finish(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending, timeout=_GRACE_SECONDS)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _attempt(self, callback: Callback) -> None:
        try:
            await self._note(callback, await self.sender.send(callback))
        except VoiceServiceError as error:  # it will be sent again: nobody knows how this attempt ended
            logger.warning("callback %s: its attempt could not be noted (%s)", callback.id, error.code)
        except Exception as error:  # noqa: BLE001 - the lease ends, and the callback is tried again
            logger.error("callback %s: attempt %d failed\n%s", callback.id, callback.attempts, where(error))
        finally:
            self._hosts[callback.host] -= 1
            self._hosts += Counter()  # drops those at zero
            self._slot_free.set()

    async def _note(self, callback: Callback, receipt: Receipt) -> None:
        if receipt.error is None:
            await self.outbox.delivered(callback, receipt)
            self.counts["delivered"] += 1
            return
        self.counts["failed"] += 1
        fields = (callback.id, callback.job_id, callback.host, callback.attempts, receipt.error)
        if receipt.final or callback.attempts > len(self.pauses_seconds):
            await self.outbox.give_up(callback, receipt)
            self.counts["given_up"] += 1
            logger.warning("callback %s of job %s to %s is given up after attempt %d: %s", *fields)
            return
        pause = self._pause(callback.attempts, receipt.retry_after_seconds)
        await self.outbox.retry(callback, receipt, pause)
        logger.info("callback %s of job %s to %s: attempt %d failed: %s; the next in %.0f s", *fields, pause)

    def _pause(self, attempts: int, asked_seconds: float | None) -> float:
        """Up to a fifth longer than planned, so that not all come back at once; and as long as the receiver asks, but
        never longer than the longest that is planned.
        """
        planned = self.pauses_seconds[attempts - 1]
        asked = min(asked_seconds or 0.0, max(self.pauses_seconds))
        return max(planned, asked) * self.jitter(1.0, 1.2)

    async def _count(self) -> None:
        if time.monotonic() - self._counted_at >= _COUNT_SECONDS:
            self._counted_at = time.monotonic()
            self._late = await self.outbox.waiting_since(_LATE_SECONDS, _MOST_COUNTED)
