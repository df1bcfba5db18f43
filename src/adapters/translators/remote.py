"""Calls to a provider on the network: attempts within a budget of time, behind a circuit breaker.

What an attempt may raise:

ProviderFailed     the provider did not do it: status 429 or 5xx, a time-out, a reset, a refused key, nonsense
RequestRefused     the provider is well, and declines this request (status 400, 404, 413, ...)

Neither they nor the log lines ever hold a key or a text.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

import httpx

from src.domain.errors import TranslationUnavailable, Unavailable, UnsupportedLanguage
from src.utils import metrics
from src.utils.retry_after import retry_after_seconds

logger = logging.getLogger(__name__)


class BreakerState(StrEnum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # calls are refused at once
    HALF_OPEN = "half-open"  # one call at a time may find out whether the provider is back


class BreakerOpen(Exception):
    """The call was refused without being made. `retry_after_seconds`: when the next may pass."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"refused for {retry_after_seconds:.0f} s more")
        self.retry_after_seconds = retry_after_seconds


class Breaker:
    """Opens after `failures` failed calls with no success between them; half-opens `rest_seconds` later.

    For one event loop. `clock` counts seconds.
    """

    def __init__(
        self, name: str, failures: int = 5, rest_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._limit = failures
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._rest_left() <= 0 else BreakerState.OPEN

    @contextmanager
    def guard(self, failure: type[Exception]) -> Iterator[None]:
        """Around one call: an exception of the type `failure` counts; any other, cancellation included, says nothing
        about the provider. Raises BreakerOpen instead of entering.
        """
        probing = self._admit()
        try:
            yield
        except failure:
            self._fail(probing=probing)
            raise
        else:
            self._close()
        finally:
            if probing:
                self._probing = False

    def _rest_left(self) -> float:
        return 0.0 if self._opened_at is None else self._opened_at + self._rest_seconds - self._clock()

    def _admit(self) -> bool:
        """Whether the call that begins is the one that tries a resting provider out."""
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN or self._probing:
            raise BreakerOpen(max(1.0, self._rest_left()))
        self._probing = True
        return True

    def _fail(self, *, probing: bool) -> None:
        self._failures += 1
        if probing or (self._opened_at is None and self._failures >= self._limit):
            logger.warning("%s: left alone for %g s after %d failures", self._name, self._rest_seconds, self._failures)
            self._opened_at = self._clock()
            metrics.PROVIDER_RESTING.labels(self._name).set(1)

    def _close(self) -> None:
        if self._opened_at is not None:
            logger.info("%s: answers again", self._name)
        metrics.PROVIDER_RESTING.labels(self._name).set(0)
        self._opened_at = None
        self._failures = 0


T = TypeVar("T")
Pair = tuple[str, str]

_FIRST_PAUSE_SECONDS = 0.25
_QUOTA_EXCEEDED = 456
"""DeepL's own status."""


class ProviderFailed(Exception):
    """One attempt failed. `retryable`: the same request may work in a moment."""

    def __init__(self, reason: str, *, retryable: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


class RequestRefused(Exception):
    """The provider declines this request, and would decline it again."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Budget:
    """What one call may take: all attempts and the pauses between them `total_seconds` together."""

    connect_seconds: float = 2.0
    total_seconds: float = 10.0  # a sixth of what a synchronous caller waits, so that the next engine has its turn
    attempts: int = 3

    @property
    def attempt_seconds(self) -> float:
        """Half of it all, so that one that hangs leaves time for another."""
        return self.total_seconds / min(2, self.attempts)


@dataclass(eq=False)
class RemoteCalls:
    """Makes the attempts for one provider. `jitter(low, high)` gives a random number between the two. `unavailable` is
    raised when there is no answer.
    """

    name: str
    budget: Budget
    breaker: Breaker
    jitter: Callable[[float, float], float] = random.uniform
    unavailable: type[Unavailable] = TranslationUnavailable

    def deadline(self) -> float:
        """When a call that starts now must have ended, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self.budget.total_seconds

    async def run(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """The first answer. Raises `unavailable` when there is none in time, and RequestRefused."""
        number = 0
        while True:
            number += 1
            try:
                return await self._once(attempt, deadline)
            except BreakerOpen as rest:
                raise self.unavailable(
                    f"{self.name} failed several times and is left alone for a while.",
                    retry_after_seconds=rest.retry_after_seconds,
                ) from None
            except ProviderFailed as failure:
                logger.warning("%s: attempt %d failed: %s", self.name, number, failure)
                pause = self._pause(number, failure, deadline)
                if pause is None:
                    raise self.unavailable(
                        f"{self.name} did not answer: {failure}.", retry_after_seconds=failure.retry_after_seconds
                    ) from None
            await asyncio.sleep(pause)

    async def _once(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        ends = min(asyncio.get_running_loop().time() + self.budget.attempt_seconds, deadline)
        with metrics.provider_call(self.name, ProviderFailed, RequestRefused), self.breaker.guard(ProviderFailed):
            try:
                async with asyncio.timeout_at(ends):
                    return await attempt()
            except TimeoutError:
                raise ProviderFailed("no answer in time", retryable=True) from None

    def _pause(self, number: int, failure: ProviderFailed, deadline: float) -> float | None:
        """Seconds to the next attempt: doubling, with jitter, not before the provider allows it. None: no more."""
        if not failure.retryable or number >= self.budget.attempts or self.breaker.state is BreakerState.OPEN:
            return None
        longest = _FIRST_PAUSE_SECONDS * 2 ** (number - 1)
        pause = max(self.jitter(longest / 2, longest), failure.retry_after_seconds or 0.0)
        return pause if asyncio.get_running_loop().time() + pause < deadline else None


class RemoteTranslator:
    """What the adapters of providers have in common; each is a `Translator`. `routes`: the pairs that it knows."""

    name: ClassVar[str]
    title: ClassVar[str]
    """The name as people write it."""
    contextual = False

    def __init__(self, routes: Mapping[Pair, tuple[str, ...]], budget: Budget, breaker: Breaker | None) -> None:
        self.breaker = breaker or Breaker(self.name)
        self._routes = dict(routes)
        self._calls = RemoteCalls(self.name, budget, self.breaker)

    @property
    def configuration(self) -> str:
        """Nothing, where the adapter has no settings that change a translation."""
        return ""

    @property
    def routes(self) -> dict[Pair, tuple[str, ...]]:
        """No language is passed through: every route is its pair."""
        return dict(self._routes)

    @contextmanager
    def _translating(self, pair: Pair) -> Iterator[None]:
        """Around a translation. Raises UnsupportedLanguage for a pair that the provider does not know, and
        TranslationUnavailable for a request that it refuses.
        """
        source, target = pair
        if pair not in self._routes:
            raise UnsupportedLanguage(f"{self.title} does not translate {source} to {target}.")
        try:
            yield
        except RequestRefused as refusal:
            raise TranslationUnavailable(f"{self.title} declined {source} to {target} ({refusal}).") from None


def texts_of(response: httpx.Response, read: Callable[[Any], Any], count: int) -> tuple[str, ...]:
    """The `count` texts that `read` finds in the response's JSON. Raises ProviderFailed when they are not there."""
    try:
        texts = read(response.json())
    except (ValueError, KeyError, TypeError):
        raise ProviderFailed("its answer could not be read", retryable=False) from None
    if not isinstance(texts, list) or len(texts) != count or not all(isinstance(text, str) for text in texts):
        raise ProviderFailed(f"it did not answer {count} texts", retryable=False)
    return tuple(texts)


def http_client(base_url: str, budget: Budget, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """Keeps its connections; follows no redirect, so that a key goes nowhere else."""
    timeout = httpx.Timeout(budget.attempt_seconds, connect=budget.connect_seconds)
    return httpx.AsyncClient(base_url=base_url, timeout=timeout, headers=headers)


@contextmanager
def httpx_errors() -> Iterator[None]:
    """Around one httpx call: its exceptions become ProviderFailed."""
    try:
        yield
    except httpx.TimeoutException:
        raise ProviderFailed("no answer in time", retryable=True) from None
    except httpx.HTTPError as error:
        raise ProviderFailed(f"connection failed ({type(error).__name__})", retryable=True) from None


def check_status(name: str, status: int, retry_after: str | None) -> None:
    """Nothing for a 200. Raises ProviderFailed or RequestRefused for every other status.

    `retry_after` is the header's value.
    """
    if status == 200:
        return
    if status == 429 or status >= 500:
        raise ProviderFailed(f"status {status}", retryable=True, retry_after_seconds=retry_after_seconds(retry_after))
    if status in (401, 403):
        logger.error("ALERT %s refuses the API key (status %d): translations go to the next engine", name, status)
        raise ProviderFailed(f"the API key was refused (status {status})", retryable=False)
    if status == _QUOTA_EXCEEDED:
        logger.error("ALERT %s: the quota is used up (status 456): translations go to the next engine", name)
        raise ProviderFailed("the quota is used up (status 456)", retryable=False)
    raise RequestRefused(status)
