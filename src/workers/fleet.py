"""The engines of a process that has none: those of the workers that it knows of."""

import logging
import time
from collections.abc import Callable, Iterable
from functools import reduce

from src.domain.errors import EngineUnavailable, Unavailable
from src.domain.leases import Abilities, WorkerRegistry, WorkerState

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS = 600.0
"""After the last worker is gone, its languages still stand: what is sent meanwhile waits for the next, as when workers
are replaced. Who then comes for longer than that in vain is told so at once."""


class Fleet:
    """What the workers can do together: a language is known where all of them know it, as any of them may be asked.

    A worker lives for `live_seconds` after it was seen. `look` is to be called every few seconds.
    """

    def __init__(
        self, registry: WorkerRegistry, live_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._live_seconds = live_seconds
        self._clock = clock
        self._live: tuple[WorkerState, ...] = ()
        self._known: tuple[WorkerState, ...] = ()
        self._somebody_at = clock()  # at the start there is time to come

    async def look(self) -> None:
        """Read the registry; when it does not answer, what was read last stays."""
        try:
            live = [worker for worker in await self._registry.within(self._live_seconds) if not worker.draining]
            known = live or await self._registry.within(REMEMBERED_SECONDS)
        except Unavailable as error:
            logger.warning("the workers were not looked for: %s", error.code)
            return
        if bool(live) != bool(self._live):
            logger.log(logging.INFO if live else logging.WARNING, "workers that live: %d", len(live))
        self._live, self._known = tuple(live), tuple(known)
        if live:
            self._somebody_at = self._clock()

    @property
    def live(self) -> tuple[WorkerState, ...]:
        return self._live

    def anyone(self) -> bool:
        return bool(self._live)

    async def check(self) -> None:
        """Raises EngineUnavailable when no worker has lived for `live_seconds`, in which one can be replaced."""
        if not self._live and self._clock() - self._somebody_at > self._live_seconds:
            raise EngineUnavailable(f"no worker was seen for {self._live_seconds:g} s")

    @property
    def hears(self) -> Abilities:
        """Raises EngineUnavailable when nobody knows."""
        return self._together(worker.hears for worker in self._known)

    @property
    def speaks(self) -> Abilities:
        """Raises EngineUnavailable when nobody knows."""
        return self._together(worker.speaks for worker in self._known)

    def notices(self) -> tuple[str, ...]:
        """A line for each thing that is less than it should be, whichever and however many workers say it."""
        said = dict.fromkeys(f"worker: {notice}" for worker in self._live for notice in worker.notices)
        kinds = {(worker.hears.engine, worker.speaks.engine) for worker in self._live}
        if len(kinds) > 1:
            named = "; ".join(sorted(" and ".join(kind) for kind in kinds))
            said[
                f"workers: they have different engines ({named}), and one may not know a voice that another learned"
            ] = None
        return tuple(said)

    def counts(self) -> dict[str, int]:
        return {
            "live": len(self._live),
            "slots": sum(worker.slots for worker in self._live),
            "running": sum(worker.running for worker in self._live),
        }

    def _together(self, each: Iterable[Abilities]) -> Abilities:
        every = tuple(each)
        if not every:
            detail = "No worker is there to do this. Try again."
            raise EngineUnavailable(detail, retry_after_seconds=self._live_seconds)
        languages = reduce(frozenset.intersection, (abilities.languages for abilities in every))
        return Abilities(every[0].engine, languages, all(abilities.varies for abilities in every))
