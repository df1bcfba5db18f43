"""What `/health` asks of the parts of a process that takes requests."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from src.bootstrap.access import Access
from src.bootstrap.engines import Engines
from src.bootstrap.fleet import RemoteWorkers
from src.bootstrap.stores import Stores
from src.bootstrap.use_cases import UseCases
from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job
from src.domain.ports import Runner
from src.services.deployment.health import Check, Health, LiveCounts
from src.services.jobs.callbacks import CallbackDelivery
from src.services.live.sessions import LiveSessions
from src.workers.job_worker import JobWorker


def build_health(
    access: Access,
    stores: Stores,
    engines: Engines,
    use_cases: UseCases,
    live: LiveSessions,
    *,
    worker: JobWorker[Job] | None,
    remote: RemoteWorkers | None,
    delivery: CallbackDelivery | None,
) -> Health:
    runners = {**engines.runners, **use_cases.provenance.runners}
    checks = {
        **stores.checks(),
        "job_worker": _job_worker_check(worker),
        **access.checks(),
        **{name: _runner_check(runner) for name, runner in runners.items()},
        **({"workers": remote.fleet.check} if remote else {}),
    }
    parts: list[_Part | None] = [access, engines, use_cases.provenance, use_cases.moderation, stores, delivery]
    parts.append(remote.fleet if remote else None)
    return Health(
        checks,
        engines.names,
        lambda: tuple(line for part in parts if part for line in part.notices()),
        _job_counts(stores),
        remote.fleet.counts if remote else None,
        use_cases.provenance.marks.marking.names,
        lambda: LiveCounts(live.count, live.most),
    )


class _Part(Protocol):
    def notices(self) -> tuple[str, ...]:
        """What is less than it should be now."""


def _job_counts(stores: Stores) -> Callable[[], Awaitable[Mapping[str, int]]]:
    async def jobs() -> Mapping[str, int]:
        waiting, running = await stores.jobs.counts()
        return {"waiting": waiting, "running": running}

    return jobs


def _runner_check(runner: Runner) -> Check:
    async def check() -> None:
        if not runner.alive:
            raise EngineUnavailable("no process of this engine is up")

    return check


def _job_worker_check(worker: JobWorker[Job] | None) -> Check:
    async def check() -> None:
        if worker is not None and not worker.alive:
            raise EngineUnavailable("the job worker has stopped")

    return check
