"""Every error as RFC 9457 problem+json, wherever it was raised: in a route, in the framework, or in a middleware. Under
/v1, where clients of OpenAI's are, as OpenAI has it.
"""

import json
import logging
import math
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_snake
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from src.api.schemas import common
from src.domain.errors import (
    AudioTooLarge,
    InternalError,
    InvalidRequest,
    MalformedJson,
    NotFound,
    RateLimited,
    RequestInvalid,
    Unauthenticated,
    UnsupportedMediaType,
    VoiceServiceError,
)
from src.utils.tracing import where

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
OPENAI_PREFIX = "/v1/"
"""Of the paths that speak OpenAI's protocol."""
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

STATUS: dict[str, int] = {
    "invalid_base64": 400,
    "malformed_json": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "consent_required": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "cancelled": 409,
    "idempotency_key_in_flight": 409,
    "audio_too_large": 413,
    "format_mismatch": 415,
    "unsupported_audio_format": 415,
    "unsupported_media_type": 415,
    "audio_too_long": 422,
    "audio_too_short": 422,
    "audio_undecodable": 422,
    "content_blocked": 422,
    "idempotency_key_reused": 422,
    "no_speech_detected": 422,
    "speech_not_understood": 422,
    "reference_too_short": 422,
    "unsupported_language": 422,
    "validation_error": 422,
    "verification_failed": 422,
    "rate_limited": 429,
    "job_dead": 500,
    "internal_error": 500,
    "translation_unavailable": 502,
    "engine_unavailable": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
}
"""The HTTP status of every `code`."""

_RETRY_AFTER_SECONDS = {409: 1.0, 429: 1.0, 503: 5.0}
"""Retry-After of retryable errors that do not know a better time."""

_MAX_FIELD_ERRORS = 20
_MAX_FIELD_NAME = 100


class MethodNotAllowed(InvalidRequest, code="method_not_allowed", title="The method is not allowed here"):
    """The path is there, but not for this method."""


class RequestTimeout(InvalidRequest, code="request_timeout", title="The body did not arrive in time", retryable=True):
    """The body did not arrive in time."""


_OF_STATUS: dict[int, type[VoiceServiceError]] = {
    400: MalformedJson,  # the framework's own 400 is a body that it could not read: not UTF-8, nested too deep, no form
    401: Unauthenticated,
    404: NotFound,
    405: MethodNotAllowed,
    413: AudioTooLarge,
    415: UnsupportedMediaType,
    422: RequestInvalid,
    429: RateLimited,
}

_DETAILS = {
    400: "The body could not be read. Send UTF-8 JSON, not nested deeper than a few levels; or a whole form, with a "
    "boundary, at the addresses that take forms.",
    404: "There is nothing at this address. /openapi.json lists what there is.",
    405: "This address does not take this method: `Allow` lists those that it takes.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it will be answered. `errors` says what is wrong with which field."""

    status: int
    code: str
    title: str
    detail: str
    retryable: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    errors: tuple[dict[str, str], ...] = ()

    def body(self, scope: Scope) -> dict[str, Any]:
        """The fields of API.md, with `errors` when fields are wrong."""
        members: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": quote(scope["path"][:512]),
            "code": self.code,
            "request_id": request_id_of(scope),
            "retryable": self.retryable,
        }
        return members | ({"errors": list(self.errors)} if self.errors else {})

    def openai_body(self) -> dict[str, Any]:
        """As OpenAI's clients read it."""
        kind = "server_error" if self.status >= 500 else _OPENAI_TYPES.get(self.status, "invalid_request_error")
        param = self.errors[0]["field"] if self.errors else None
        return {"error": {"message": self.detail, "type": kind, "param": param, "code": self.code}}

    def response(self, scope: Scope) -> Response:
        is_openai = scope["path"].startswith(OPENAI_PREFIX)
        members = self.openai_body() if is_openai else self.body(scope)
        # a field's name is the caller's own text and may hold a lone surrogate, which UTF-8 cannot carry
        content = json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")
        if not is_openai:
            return Response(content, self.status, self.headers, MEDIA_TYPE)
        # its clients would send again what took too long, twice, and have it take too long again
        again = self.retryable and self.status != 504
        headers = {**self.headers, "x-should-retry": str(again).lower()}
        return Response(content, self.status, headers, "application/json")


def request_id_of(scope: Scope) -> str:
    """The id that the request-id middleware gave, or an empty text where none runs."""
    return str(scope.get("state", {}).get("request_id", ""))


def problem(error: Exception) -> Problem:
    """What a caller is told about any error. Nothing of an unexpected one leaves the service."""
    if isinstance(error, VoiceServiceError):
        return _of_service_error(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, RecursionError):
        return _of_service_error(MalformedJson("The request is nested too deep."))
    return _of_service_error(InternalError("Something went wrong here. The log has it under this request_id."))


def _of_service_error(error: VoiceServiceError) -> Problem:
    status = STATUS[error.code]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    wait = error.retry_after_seconds
    if wait is None and error.retryable:
        wait = _RETRY_AFTER_SECONDS.get(status)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return Problem(status, error.code, error.title, error.detail, error.retryable, headers)


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        where = found[0]["loc"][-1]
        return _of_service_error(MalformedJson(f"The body stops being JSON at character {where}."))
    errors = tuple(
        {"field": _field(item["loc"]), "message": str(item["msg"]).removeprefix("Value error, ") + _meant(item)}
        for item in found[:_MAX_FIELD_ERRORS]
    )
    more = f" ({len(found) - 1} more in `errors`)" if len(found) > 1 else ""
    detail = f"{errors[0]['field']}: {errors[0]['message']}{more}" if errors else "A field is not valid."
    return Problem(422, RequestInvalid.code, RequestInvalid.title, detail, errors=errors)


def _meant(item: dict[str, Any]) -> str:
    """What stands there under another spelling of the missing field's name: `targetLanguage`."""
    if item["type"] != "missing" or not isinstance(item["input"], dict):
        return ""
    written = next((name for name in item["input"] if to_snake(str(name)) == item["loc"][-1]), None)
    return "" if written is None else f": it is named {item['loc'][-1]}, not {written}"


def _field(location: tuple[int | str, ...]) -> str:
    """`("body", "options", "quality")` is `options.quality`; the body as a whole is `body`."""
    inner = location[1:] or location
    return ".".join(str(part) for part in inner)[:_MAX_FIELD_NAME]


def _of_http(error: HTTPException) -> Problem:
    if isinstance(error.__cause__, VoiceServiceError):  # the framework wraps what reading a body raises
        return _of_service_error(error.__cause__)
    status, headers = error.status_code, dict(error.headers or {})
    kind = _OF_STATUS.get(status)
    if kind is not None:
        found = _of_service_error(kind(_DETAILS.get(status, str(error.detail))))
        found.headers.update(headers)
        return found
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.lower().replace(" ", "_"), phrase, str(error.detail), headers=headers)


def log_unexpected(error: BaseException, scope: Scope) -> None:
    """Where a defect is, without its message, which may be somebody's words."""
    logger.error("unexpected error in %s %s\n%s", scope.get("method"), request_id_of(scope), where(error))


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, RecursionError):  # a body nested too deep; or a defect, which must not go unseen
        log_unexpected(error, request.scope)
    found = problem(error)
    if found.status == 405:
        found = replace(found, headers={**found.headers, "Allow": ", ".join(_methods_at(request))})
    return found.response(request.scope)


def _methods_at(request: Request) -> list[str]:
    """Those that this address takes. The framework's own `Allow` has only those of the first route that it finds."""
    asked = {key: request.scope[key] for key in ("type", "path", "root_path", "headers", "app")}
    routes = request.app.router.routes
    taken = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    ]
    return [*taken, "HEAD"] if "GET" in taken else taken


async def _handle_unexpected(request: Request, error: Exception) -> Response:
    log_unexpected(error, request.scope)
    return problem(error).response(request.scope)


def install(app: FastAPI) -> None:
    """Answer every error raised behind `app` with a problem."""
    for kind in (VoiceServiceError, RequestValidationError, HTTPException, RecursionError):
        app.add_exception_handler(kind, _handle)
    app.add_exception_handler(Exception, _handle_unexpected)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses: problem+json for these statuses (and 401 and 500 for all), with the codes of each."""
    return {status: _response(status) for status in sorted({401, 500, *statuses})}


def _response(status: int) -> dict[str, Any]:
    codes = sorted(code for code, its_status in STATUS.items() if its_status == status)
    return {
        "description": "Problem: " + ", ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": common.Problem.model_json_schema()}},
    }
