"""Waiting for something to become so, with a deadline."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Seconds that it took. Fails after `seconds`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not become so in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began
