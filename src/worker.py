"""The process that does jobs and takes no requests: `python -m src.workers.gpu_worker`.

One for each GPU, which CUDA_VISIBLE_DEVICES chooses. It shares DATABASE_URL, REDIS_URL and STORAGE with the processes
that run with WORKERS=remote. SIGTERM drains it: jobs may end within SHUTDOWN_GRACE_SECONDS, the others go back in line.
"""

import asyncio
import logging
import signal
import sys

from src.bootstrap import running_worker
from src.bootstrap_engines import Engines
from src.bootstrap_process import configure_logging, load_settings
from src.config.settings import Settings
from src.domain.errors import VoiceServiceError

logger = logging.getLogger(__name__)


async def work(settings: Settings, engines: Engines | None = None) -> None:
    """Until SIGTERM or Ctrl-C. Raises EngineUnavailable and what else keeps a service from starting."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_worker(settings, engines):
        logger.info("the worker is ready")
        await stop.wait()
        logger.info("the worker drains")
    logger.info("the worker has stopped")


def main(engines: Engines | None = None) -> int:
    """Exit code 2: a setting is wrong; 1: something that it needs is missing."""
    settings = load_settings()
    if settings is None:
        return 2
    configure_logging(settings.log_level)
    try:
        asyncio.run(work(settings, engines))
    except VoiceServiceError as error:
        logger.error("The worker cannot start: %s", error.detail)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
