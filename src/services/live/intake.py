"""What a caller sent and nobody has listened to yet."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from src.domain.audio import OUTPUT_SAMPLE_RATE, Samples
from src.domain.errors import Overloaded, RateLimited, RequestInvalid
from src.domain.speech import ACTIVITY_SECONDS
from src.utils.audio import decode_pcm

RATE = OUTPUT_SAMPLE_RATE
"""Hz, of what comes and of what is sent."""
FRAME = round(ACTIVITY_SECONDS * RATE)
"""Samples."""

_FASTEST = 2.0
"""Seconds of sound in a second."""
_AT_ONCE_SECONDS = 10.0
"""What may come faster than that: what a caller recorded before it was let in, or while its network was away."""
_UNHEARD_SECONDS = 30.0


class TooFast(RateLimited):
    """More sound than anybody can have spoken."""


class Intake:
    """Takes PCM16, 24 kHz, mono, little-endian; gives whole frames of 32 ms."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._credit = _AT_ONCE_SECONDS
        self._pieces: list[bytes] = []
        self._waiting = 0  # samples
        self._came = asyncio.Event()
        self.arrived = clock()
        """When the last of it came."""
        self.seconds = 0.0
        """How much came in all."""
        self._ended = False

    def put(self, pcm: bytes) -> None:
        """Raises RequestInvalid, TooFast, Overloaded where nobody listens for too long."""
        if len(pcm) % 2:
            raise RequestInvalid("The audio is not PCM16: its length in bytes is odd.")
        now, seconds = self._clock(), len(pcm) / 2 / RATE
        self._credit = min(_AT_ONCE_SECONDS, self._credit + _FASTEST * (now - self.arrived)) - seconds
        self.arrived = now
        if self._credit < 0:
            raise TooFast("The audio comes faster than twice real time.")
        if self._waiting / RATE > _UNHEARD_SECONDS:
            raise Overloaded(f"The service is {_UNHEARD_SECONDS:g} s behind with listening.")
        self.seconds += seconds
        self._pieces.append(pcm)
        self._waiting += len(pcm) // 2
        self._came.set()

    def end(self) -> None:
        """Nothing follows."""
        self._ended = True
        self._came.set()

    async def take(self, patience_seconds: float) -> Samples | None:
        """All whole frames that came, [n * 768] in [-1, 1]; none, when nothing came for so long. None: it has ended."""
        while self._waiting < FRAME and not self._ended:
            self._came.clear()
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._came.wait()
            except TimeoutError:
                break
        if self._waiting < FRAME:
            return None if self._ended else np.zeros(0, np.float32)
        whole = self._waiting // FRAME * FRAME
        data = b"".join(self._pieces)
        self._pieces, self._waiting = [data[2 * whole :]], self._waiting - whole
        return decode_pcm(data[: 2 * whole])
