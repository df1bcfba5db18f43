"""Waiting for something to become so, with a deadline."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Seconds that it took. Fails after `seconds`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not become so in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def files_under(folder: Path) -> list[Path]:
    """All that are there now, in folders that others may be taking away."""
    return [Path(inside, name) for inside, _, names in os.walk(folder) for name in names]
