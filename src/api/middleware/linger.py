"""How long a connection stays open for a caller that was refused and goes on sending.

Closed at once, a caller that sends all before it reads would see a reset and not the answer.
"""

import time
from collections.abc import Callable

_IDLE_SECONDS = 2.0
_BYTES_PER_SECOND = 64 * 2**10


class Linger:
    """For 2 s without a byte, as long as 64 KiB come in each second, and for `longest_seconds` at most. What comes is
    dropped. Times are of the monotonic clock, which is also that of asyncio.
    """

    def __init__(self, longest_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = 0
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._began = self._last = clock()

    def receive(self, size: int) -> None:
        self.received += size
        self._last = self._clock()

    @property
    def ends_at(self) -> float:
        earned = min(self._last, self._began + self.received / _BYTES_PER_SECOND) + _IDLE_SECONDS
        return min(earned, self._began + self._longest_seconds)
