"""Every error is a problem, whoever raised it, and none says more than it may."""

import json
import logging

import httpx
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from src.api.error_handlers import STATUS, problem
from src.api.middleware import Edge
from src.api.middleware.errors import ErrorMiddleware
from src.domain.errors import Overloaded, RateLimited, Unauthenticated, VoiceServiceError
from tests.support.edge_app import client, edge_app, every_error

API_TABLE = {
    400: {"invalid_base64", "malformed_json"},
    401: {"unauthenticated"},
    403: {"forbidden", "consent_required"},
    404: {"not_found"},
    413: {"audio_too_large"},
    415: {"unsupported_audio_format", "format_mismatch"},
    422: {
        *("validation_error", "audio_too_short", "audio_too_long", "audio_undecodable", "no_speech_detected"),
        *("unsupported_language", "reference_too_short"),
    },
    429: {"rate_limited"},
    502: {"translation_unavailable"},
    503: {"overloaded", "engine_unavailable"},
    504: {"deadline_exceeded"},
}

FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id", "retryable"}


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    problem: dict[str, object] = response.json()
    assert response.status_code == problem["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"] == f"/problems/{code}"
    assert problem.keys() - {"errors"} == FIELDS
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def test_the_statuses_are_those_of_the_contract() -> None:
    for status, codes in API_TABLE.items():
        assert {STATUS[code] for code in codes} == {status}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
async def test_every_kind_of_error_has_a_status(kind: type[VoiceServiceError]) -> None:
    async with client(edge_app(error=kind("What to do next."))) as http:
        response = await http.get("/api/v1/failing?token=abc")
    problem = check_problem(response, STATUS[kind.code], kind.code)
    assert (problem["detail"], problem["title"]) == ("What to do next.", kind.title)
    assert problem["instance"] == "/api/v1/failing"
    assert problem["retryable"] is kind.retryable


async def test_retry_after_is_in_whole_seconds_and_always_there_with_503() -> None:
    for error, expected in (
        (Overloaded("full"), "5"),
        (Overloaded("full", retry_after_seconds=7.2), "8"),
        (RateLimited("slow down", retry_after_seconds=0.01), "1"),
    ):
        async with client(edge_app(error=error)) as http:
            assert (await http.get("/api/v1/failing")).headers["retry-after"] == expected


async def test_401_names_the_scheme() -> None:
    async with client(edge_app(error=Unauthenticated("no token"))) as http:
        assert (await http.get("/api/v1/failing")).headers["www-authenticate"] == "Bearer"


def test_a_field_in_another_spelling_is_told_its_name() -> None:
    missing = {"type": "missing", "loc": ("body", "target_language"), "msg": "Field required"}
    for name, told in (("targetLanguage", True), ("TargetLanguage", True), ("target", False)):
        body = {"audio": "", name: "es"}
        told_what = problem(RequestValidationError([missing | {"input": body}])).detail
        assert (told_what == f"target_language: Field required: it is named target_language, not {name}") is told


async def test_unknown_address_and_method() -> None:
    async with client(edge_app()) as http:
        check_problem(await http.get("/api/v1/nothing"), 404, "not_found")
        response = await http.get("/api/v1/voice/translate")
        check_problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "POST"


async def test_other_statuses_of_the_framework_keep_their_name() -> None:
    async with client(edge_app(error=HTTPException(406, "Ask for JSON."))) as http:
        assert check_problem(await http.get("/api/v1/failing"), 406, "not_acceptable")["detail"] == "Ask for JSON."


async def test_wrong_fields_are_named_without_their_values() -> None:
    secret = "U0VDUkVU" * 10
    async with client(edge_app()) as http:
        response = await http.post("/api/v1/voice/translate", json={"audio": [secret], "quality": 9, "extra": secret})
    problem = check_problem(response, 422, "validation_error")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert [item["field"] for item in errors] == ["audio", "quality", "extra"]
    assert all(item.keys() == {"field", "message"} and item["message"] for item in errors)
    assert "audio" in str(problem["detail"])
    assert "U0VDUkVU" not in response.text


@pytest.mark.parametrize("depth", [10, 100, 300, 500, 700, 800, 850, 900, 950, 1000, 2000, 20_000])
async def test_depth_is_never_a_defect_of_the_service(depth: int) -> None:
    async with client(edge_app(Edge(max_body_bytes=10_000_000))) as http:
        headers = {"content-type": "application/json"}
        for body in (b"[" * depth + b"]" * depth, b'{"extra":' * depth + b"1" + b"}" * depth):
            response = await http.post("/api/v1/voice/translate", content=body, headers=headers)
            assert response.status_code in (400, 422)


async def test_an_unexpected_error_says_nothing_to_the_caller_nor_its_message_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cause = KeyError("what Anna said")
    error = ValueError("what Bert said")
    error.__cause__ = cause
    async with client(edge_app(error=error)) as http:
        response = await http.get("/api/v1/failing", headers={"x-request-id": "req-7"})
    problem = check_problem(response, 500, "internal_error")
    assert "said" not in response.text
    assert problem["request_id"] == "req-7"
    text = "\n".join(record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
    assert "req-7" in text
    assert "edge_app.py" in text
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "said" not in caplog.text


async def test_errors_of_a_middleware_are_problems_too() -> None:
    app = FastAPI()

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        raise Overloaded("full")

    app.add_middleware(lambda _: ErrorMiddleware(raising, linger_bytes=0, linger_seconds=0))
    async with client(app) as http:
        response = await http.get("/anything")
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")


async def test_an_error_after_the_answer_has_begun_is_logged_and_adds_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[str] = []
    error = Overloaded("what Anna said")

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await ErrorMiddleware(breaking, linger_bytes=0, linger_seconds=0)(scope, receive, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start"]
    assert "Overloaded" in caplog.text
    assert "Anna" not in caplog.text


async def test_a_detail_that_utf8_cannot_carry() -> None:
    async with client(edge_app(error=Overloaded("text \ud800"))) as http:
        assert check_problem(await http.get("/api/v1/failing"), 503, "overloaded")["detail"] == "text ?"


async def test_problems_are_json_in_utf8() -> None:
    async with client(edge_app(error=Overloaded("Später – ещё раз"))) as http:
        response = await http.get("/api/v1/failing")
    assert "Später – ещё раз" in response.content.decode()
    assert json.loads(response.content)["detail"] == "Später – ещё раз"
