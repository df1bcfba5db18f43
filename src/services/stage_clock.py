"""How long each step of a job takes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from src.domain.jobs import Stage

OnStage = Callable[[Stage], Awaitable[None]]


@dataclass(slots=True)
class StageClock:
    """Announces each stage as it starts and keeps how long it took, in milliseconds."""

    on_stage: OnStage
    started: float = field(default_factory=time.perf_counter)
    milliseconds: dict[Stage, float] = field(default_factory=dict)

    @asynccontextmanager
    async def stage(self, stage: Stage) -> AsyncIterator[None]:
        start = time.perf_counter()
        await self.on_stage(stage)
        yield
        self.milliseconds[stage] = (time.perf_counter() - start) * 1000

    def total(self) -> float:
        return (time.perf_counter() - self.started) * 1000
