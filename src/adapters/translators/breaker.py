"""A circuit breaker: a provider that keeps failing is left alone for a while, so that nobody waits for it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from src.utils import metrics

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
