"""Probes: for a person, for an orchestrator's liveness check, and for its readiness check."""

from fastapi import APIRouter, Response

from src import __version__
from src.api.dependencies import ServicesDep
from src.api.schemas.common import Live
from src.api.schemas.system import HealthCheck, HealthResponse, LiveSessions
from src.services.deployment.health import CheckResult, HealthReport

router = APIRouter(tags=["health"])


@router.get("/health")
async def health(services: ServicesDep) -> HealthResponse:
    """Engines, parts and what is degraded. Always 200 while the process answers: read `status`."""
    return _present(await services.health.report())


@router.get("/health/live")
async def live() -> Live:
    """The process answers."""
    return Live()


@router.get("/health/ready", responses={503: {"model": HealthResponse, "description": "Some part cannot serve."}})
async def ready(services: ServicesDep, response: Response) -> HealthResponse:
    """The process can take work: 200, else 503 with the reason."""
    report = await services.health.report()
    response.status_code = 200 if report.ready else 503
    return _present(report)


def _present(report: HealthReport) -> HealthResponse:
    status = "unhealthy" if not report.ready else "degraded" if report.notices else "healthy"
    return HealthResponse(
        status=status,
        service="voice-translation",
        version=__version__,
        engines=dict(report.engines),
        provenance=list(report.provenance),
        degraded=list(report.notices),
        checks={check.name: _check(check) for check in report.checks},
        jobs=dict(report.jobs),
        workers=None if report.workers is None else dict(report.workers),
        live_sessions=LiveSessions(
            open=report.live.open, most=report.live.most, accepting=report.ready and report.live.open < report.live.most
        ),
        uptime_seconds=report.uptime_seconds,
    )


def _check(result: CheckResult) -> HealthCheck:
    status = "ok" if result.error is None else "failing"
    return HealthCheck(status=status, error=result.error, milliseconds=result.milliseconds)
