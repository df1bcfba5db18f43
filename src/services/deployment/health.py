"""Is the process alive, can it take work, and what is less than it should be."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from src.domain.errors import VoiceServiceError

Check = Callable[[], Awaitable[None]]

_CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`error` is None when the part works, else one line for the operator."""

    name: str
    error: str | None
    milliseconds: float


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Live sessions that are open, and how many there may be."""

    open: int
    most: int


@dataclass(frozen=True, slots=True)
class HealthReport:
    checks: tuple[CheckResult, ...]
    engines: Mapping[str, str]
    provenance: tuple[str, ...]
    notices: tuple[str, ...]
    jobs: Mapping[str, int]  # by state; empty when nobody can tell
    workers: Mapping[str, int] | None  # of other processes: how many live, and what they do; None: there are none
    live: LiveCounts
    uptime_seconds: float

    @property
    def ready(self) -> bool:
        return all(check.error is None for check in self.checks)


@dataclass(eq=False)
class Health:
    """`checks` raise, or time out after two seconds, when their part cannot serve. `notices` say what is degraded,
    and `provenance` which marks answers get.
    """

    checks: Mapping[str, Check]
    engines: Callable[[], Mapping[str, str]]
    notices: Callable[[], tuple[str, ...]]
    jobs: Callable[[], Awaitable[Mapping[str, int]]]
    workers: Callable[[], Mapping[str, int]] | None = None
    provenance: tuple[str, ...] = ()
    live: Callable[[], LiveCounts] = lambda: LiveCounts(0, 0)
    _started: float = field(default_factory=time.monotonic, init=False)

    async def report(self) -> HealthReport:
        results = await asyncio.gather(*(self._run(name, check) for name, check in self.checks.items()))
        uptime = time.monotonic() - self._started
        workers = self.workers() if self.workers else None
        jobs = await self._count_jobs()
        return HealthReport(
            tuple(results), self.engines(), self.provenance, self.notices(), jobs, workers, self.live(), uptime
        )

    async def _count_jobs(self) -> Mapping[str, int]:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return await self.jobs()
        except (TimeoutError, VoiceServiceError):
            return {}

    async def _run(self, name: str, check: Check) -> CheckResult:
        start = time.perf_counter()
        error: str | None = None
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await check()
        except TimeoutError:
            error = f"no answer within {_CHECK_SECONDS:g} s"
        except Exception as problem:  # noqa: BLE001 - whatever a part raises, the probe must answer
            error = f"{type(problem).__name__}: {problem}"
        return CheckResult(name, error, (time.perf_counter() - start) * 1000)
