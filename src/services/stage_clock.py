"""When the steps of a job begin, and how long they take."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from src.domain.jobs import Stage

OnStage = Callable[[Stage], Awaitable[None]]


@dataclass(slots=True)
class StageClock:
    """Announces each stage as it starts and keeps how long it took, in milliseconds: from its first start to its last
    end. Those of a message in pieces overlap.
    """

    on_stage: OnStage
    started: float = field(default_factory=time.perf_counter)
    milliseconds: dict[Stage, float] = field(default_factory=dict)
    _begun: dict[Stage, float] = field(default_factory=dict)

    @asynccontextmanager
    async def stage(self, stage: Stage) -> AsyncIterator[None]:
        await self.begin(stage)
        yield
        self.end(stage)

    async def begin(self, stage: Stage) -> None:
        if stage not in self._begun:
            self._begun[stage] = time.perf_counter()
            await self.on_stage(stage)

    def end(self, stage: Stage) -> None:
        self.milliseconds[stage] = (time.perf_counter() - self._begun[stage]) * 1000

    def all_stages(self) -> dict[Stage, float]:
        """Those that were left out took no time."""
        return {stage: self.milliseconds.get(stage, 0.0) for stage in Stage}

    def total(self) -> float:
        return (time.perf_counter() - self.started) * 1000
