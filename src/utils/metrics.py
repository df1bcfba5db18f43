"""Every metric that a process of the service has, beside the `process_` ones of prometheus-client's own.

Times are in seconds. No label names a user, and each takes its values from a short list.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pynvml
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from src.domain.jobs import TranslationResult

logger = logging.getLogger(__name__)

_REQUESTS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 300, 3600)
_STAGES = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 300)
_RATIOS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_CALLS = (1, 2, 4, 8, 16, 32, 64)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUEST_SECONDS = Histogram(
    "voice_request_seconds",
    "Requests, to the end of their answer; 499: the caller left.",
    ("method", "route", "status"),
    buckets=_REQUESTS,
)
JOBS = Counter("voice_jobs", "Jobs that ended: completed, or the code of their error.", ("operation", "outcome"))
STAGE_SECONDS = Histogram("voice_stage_seconds", "Stages of completed jobs.", ("stage",), buckets=_STAGES)
REAL_TIME_FACTOR = Histogram(
    "voice_real_time_factor", "Work on a completed job by the length of its recording.", buckets=_RATIOS
)
FIRST_AUDIO_SECONDS = Histogram(
    "voice_first_audio_seconds", "From a job's arrival to its first sentence as sound.", buckets=_STAGES
)
QUEUE_ROWS = Gauge("voice_queue_rows", "Jobs and engine calls of all processes.", ("queue", "state"))
QUEUE_OLDEST_SECONDS = Gauge("voice_queue_oldest_seconds", "Age of the oldest that waits.", ("queue",))
REDELIVERIES = Counter("voice_redeliveries", "Begun again, as a worker was lost.", ("kind",))
BATCH_CALLS = Histogram(
    "voice_batch_calls", "Calls that the owner of a device works on when one more begins.", ("engine",), buckets=_CALLS
)
PROVIDER_CALLS = Counter("voice_provider_calls", "Attempts: done, failed, refused.", ("provider", "outcome"))
PROVIDER_RESTING = Gauge("voice_provider_resting", "1: its circuit breaker is open.", ("provider",))
LIVE_SESSIONS = Gauge("voice_live_sessions", "Live sessions of this process that are open.")
LIVE_LAG_SECONDS = Histogram("voice_live_lag_seconds", "From the end of what was said to its sound.", buckets=_STAGES)


def request(method: str, route: str, status: int, seconds: float) -> None:
    """`route`: its template."""
    REQUEST_SECONDS.labels(method if method in _METHODS else "other", route, status).observe(seconds)


def job_done(result: TranslationResult) -> None:
    for stage, milliseconds in result.timestamps.items():
        if milliseconds:
            STAGE_SECONDS.labels(stage).observe(milliseconds / 1000)
    if result.source_seconds:
        REAL_TIME_FACTOR.observe(result.processing_time_ms / 1000 / result.source_seconds)


@contextmanager
def provider_call(provider: str, failed: type[Exception], refused: type[Exception]) -> Iterator[None]:
    """Around one attempt; what else is raised says nothing about the provider."""
    outcome = None
    try:
        yield
        outcome = "done"
    except failed:
        outcome = "failed"
        raise
    except refused:
        outcome = "refused"
        raise
    finally:
        if outcome:
            PROVIDER_CALLS.labels(provider, outcome).inc()


class GpuMemory(Collector):
    """Of all GPUs of the machine, by NVIDIA's driver; without one the metrics have no samples."""

    def __init__(self) -> None:
        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:
            self._handles = []

    def collect(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("voice_gpu_memory_used_bytes", "Memory of a GPU in use.", labels=("gpu",))
        total = GaugeMetricFamily("voice_gpu_memory_bytes", "Memory of a GPU.", labels=("gpu",))
        for number, handle in enumerate(self._handles):
            try:
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            except pynvml.NVMLError as error:
                logger.warning("the memory of GPU %d is not known: %s", number, type(error).__name__)
                continue
            used.add_metric((str(number),), memory.used)
            total.add_metric((str(number),), memory.total)
        yield used
        yield total
