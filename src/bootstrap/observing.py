"""What a process tells those who run it: metrics and traces, as OpenTelemetry's own environment variables ask for.

OTEL_EXPORTER_PROMETHEUS_PORT (and _HOST, by default this machine): where `/metrics` is. It asks for no token.
OTEL_EXPORTER_OTLP_ENDPOINT: where spans are sent. Without them there are none.
"""

import asyncio
import logging
import math
import os
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from prometheus_client import REGISTRY, start_http_server

from src.adapters.database.jobs.call_repository import SqlCallRepository
from src.adapters.database.jobs.leased_rows import LeasedRows
from src.bootstrap.stores import Stores
from src.domain.errors import EngineUnavailable, Unavailable
from src.utils import metrics
from src.utils.concurrency import start_background

logger = logging.getLogger(__name__)

_QUEUE_SECONDS = 5.0


def start_observing(stores: Stores, stack: AsyncExitStack) -> None:
    """Raises EngineUnavailable where the port of the metrics is taken, or none."""
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # here, so that a service without traces does without the memory and time of its libraries
        from src.bootstrap.traces import start_traces  # noqa: PLC0415

        start_traces(stores.database.engines, stack)
    if port := os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT"):
        _start_metrics(os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"), port, stack)
        start_background(_watch_queues(stores), stack)


def _start_metrics(host: str, port: str, stack: AsyncExitStack) -> None:
    _register_gpus()
    try:
        server, thread = start_http_server(int(port), host)
    except (OSError, ValueError, OverflowError) as error:
        detail = f"Metrics cannot be had at OTEL_EXPORTER_PROMETHEUS_HOST and _PORT: {type(error).__name__}."
        raise EngineUnavailable(detail) from error

    async def stop() -> None:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)

    stack.push_async_callback(stop)


@cache
def _register_gpus() -> None:
    REGISTRY.register(metrics.GpuMemory())


async def _watch_queues(stores: Stores) -> None:
    queues: dict[str, LeasedRows[Any]] = {"jobs": stores.jobs, "calls": SqlCallRepository(stores.database)}
    while True:
        for name, rows in queues.items():
            try:
                waiting, running = map(float, await rows.counts())
                oldest = await rows.oldest_waiting_seconds()
            except Unavailable:
                waiting = running = oldest = math.nan  # nobody knows, which is not the same as none
            metrics.QUEUE_ROWS.labels(name, "waiting").set(waiting)
            metrics.QUEUE_ROWS.labels(name, "running").set(running)
            metrics.QUEUE_OLDEST_SECONDS.labels(name).set(oldest)
        await asyncio.sleep(_QUEUE_SECONDS)
