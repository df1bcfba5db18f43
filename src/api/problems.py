"""Errors as routes and the OpenAPI pages speak of them; `error_handlers` writes the bodies."""

from typing import Any, NoReturn

from src.api.error_handlers import STATUS
from src.api.schemas.common import Problem
from src.domain.errors import VoiceServiceError
from src.domain.jobs import Job, JobError


def _tree(root: type[VoiceServiceError]) -> list[type[VoiceServiceError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


_BY_CODE: dict[str, type[VoiceServiceError]] = {kind.code: kind for kind in reversed(_tree(VoiceServiceError))}


def title_of(code: str) -> str:
    return _BY_CODE.get(code, VoiceServiceError).title


def raise_again(job: Job, error: JobError) -> NoReturn:
    """Answer a synchronous call with the error that ended its job."""
    kind = _BY_CODE.get(error.code, VoiceServiceError)
    raise kind(error.detail, retry_after_seconds=job.retry_after_seconds())


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses: problem+json for these statuses (and 401 and 500 for all), with the codes that each may
    carry.
    """
    return {status: _response(status) for status in sorted({401, 500, *statuses})}


def _response(status: int) -> dict[str, Any]:
    codes = sorted(code for code, its_status in STATUS.items() if its_status == status)
    return {
        "description": "Problem: " + ", ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
