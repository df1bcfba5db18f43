"""The process that does jobs and takes no requests: `python -m src.worker`.

`--check` only tells by its exit code whether a worker of this host lives, for an orchestrator.

One for each GPU, which CUDA_VISIBLE_DEVICES chooses. It shares DATABASE_URL, REDIS_URL and STORAGE with the processes
that run with WORKERS=remote. SIGTERM drains it: jobs may end within SHUTDOWN_GRACE_SECONDS, the others go back in line.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from src.bootstrap import running_worker
from src.bootstrap.engines import Engines
from src.bootstrap.fleet import check_worker
from src.bootstrap.process import be_private, configure_logging, load_settings
from src.config.settings import Settings
from src.domain.errors import VoiceServiceError
from src.domain.jobs import Job
from src.workers.job_worker import JobWorker

logger = logging.getLogger(__name__)

ALIVE_FILE = "worker.alive"
_ALIVE_SECONDS = 5.0


async def work(settings: Settings, engines: Engines | None = None) -> None:
    """Until SIGTERM or Ctrl-C. Raises EngineUnavailable and what else keeps a service from starting."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_worker(settings, engines) as worker:
        logger.info("the worker is ready")
        life = asyncio.create_task(show_life(worker, settings.data_dir / ALIVE_FILE))
        await stop.wait()
        logger.info("the worker drains")
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    logger.info("the worker has stopped")


async def show_life(worker: JobWorker[Job], file: Path, seconds: float = _ALIVE_SECONDS) -> None:
    """Touch `file` every few seconds while jobs are looked for: a health check has no port to ask and reads its age."""
    while True:
        if worker.alive:
            await asyncio.to_thread(file.touch)
        await asyncio.sleep(seconds)


def main(engines: Engines | None = None) -> int:
    """Exit code 2: a setting is wrong; 1: something that it needs is missing."""
    settings = load_settings()
    if settings is None:
        return 2
    if "--check" in sys.argv[1:]:
        return check_worker(settings)
    be_private()
    configure_logging(settings.log_level, settings.log_format, "worker")
    try:
        asyncio.run(work(settings, engines))
    except VoiceServiceError as error:
        logger.error("The worker cannot start: %s", error.detail)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
