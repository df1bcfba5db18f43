"""Whether a worker of this host lives, as the database that the workers share knows it. No engine is loaded."""

import asyncio
import socket
import sys

from src.adapters.database.jobs.worker_registry import SqlWorkerRegistry
from src.bootstrap.database import live_seconds, open_database
from src.config.settings import Settings
from src.domain.errors import Unavailable

_SECONDS = 5.0


def check_worker(settings: Settings) -> int:
    """Exit code 0: one was seen within two leases; 1: none was, or the database does not answer."""
    reason = asyncio.run(_why_not(settings, socket.gethostname()))
    if reason is not None:
        print(reason, file=sys.stderr)  # noqa: T201
    return 0 if reason is None else 1


async def _why_not(settings: Settings, host: str) -> str | None:
    """What is wrong, or None."""
    database = open_database(settings, pool_size=1)
    try:
        async with asyncio.timeout(_SECONDS):
            seen = await SqlWorkerRegistry(database).within(live_seconds(settings))
    except (Unavailable, TimeoutError) as error:
        return getattr(error, "detail", "The database does not answer.")
    finally:
        await database.close()
    if any(worker.host == host for worker in seen):
        return None
    return f"No worker of {host} was seen for {live_seconds(settings):g} s."
