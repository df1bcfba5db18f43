"""What a token allows over HTTP: the scope of every served operation, and services that act for users."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.bootstrap.access import running_sessions
from src.config.settings import Settings
from src.domain.identity import ALL_SCOPES
from src.domain.jobs import AuditEvent
from tests.fakes.engines import serve, served
from tests.support.messages import PROFILE
from tests.support.tokens import WITH_TOKENS, as_user

USAGE = "/api/v1/usage"
OPEN = {"GET /health", "GET /health/live", "GET /health/ready", "GET /api/v1/audio/{key}"}
"""All that is served without a token, beside the pages."""


def gateway(user_id: str | None = None, **changes: Any) -> dict[str, str]:
    headers = as_user("gateway", "voice voice:service", **changes)
    return headers if user_id is None else headers | {"X-On-Behalf-Of": user_id}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        _env_file=None, data_dir=tmp_path_factory.mktemp("scopes"), min_reference_seconds=0.5, **WITH_TOKENS
    )


@pytest.fixture(scope="module")
def http(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings) as client:
        yield client


def operations(http: httpx.Client) -> dict[str, dict[str, Any]]:
    paths = http.get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}": operation for path, item in paths.items() for method, operation in item.items()}


def call(http: httpx.Client, operation: str, headers: dict[str, str]) -> httpx.Response:
    method, _, path = operation.partition(" ")
    return http.request(method, re.sub(r"\{\w+\}", "x", path), headers=headers)


def _is(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, _problem(answer)["code"]) == (status, code), answer.text


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """OpenAI's clients get theirs in OpenAI's form."""
    said: dict[str, Any] = answer.json()
    error: dict[str, Any] = said.get("error", said)
    return error


def test_every_operation_asks_for_a_token_with_the_scope_that_it_declares(http: httpx.Client) -> None:
    declared = operations(http)
    assert {name for name, operation in declared.items() if "security" not in operation} == OPEN
    for name in declared.keys() - OPEN:
        ((_, (scope,)),) = declared[name]["security"][0].items()
        described = declared[name]["responses"].keys()
        assert {"401", "403", "422"} <= described or "default" in described, name
        _is(call(http, name, {}), 401, "unauthenticated")
        for held in ("", " ".join(ALL_SCOPES - {scope}), f"{scope}s", scope.upper()):
            refused = call(http, name, as_user("ann", held))
            _is(refused, 403, "forbidden")
            assert f"`{scope}`" in refused.text
        assert call(http, name, as_user("ann", scope)).status_code not in (401, 403), name


@pytest.mark.parametrize("scope", [None, ["voice"], {"voice": True}, 1])
def test_scopes_are_one_text(http: httpx.Client, scope: Any) -> None:
    _is(http.get(USAGE, headers=as_user("ann", scope)), 403, "forbidden")


def test_the_openapi_describes_the_scopes_and_the_header(http: httpx.Client) -> None:
    components = http.get("/openapi.json").json()["components"]
    scheme = components["securitySchemes"]["token"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert all(f"`{scope}`" in scheme["description"] for scope in ALL_SCOPES)
    assert components["parameters"]["X-On-Behalf-Of"]["in"] == "header"


def test_nothing_is_asked_for_where_no_token_is_needed(tmp_path: Path) -> None:
    with serve(tmp_path) as http:
        described = http.get("/openapi.json").json()
        assert not any("security" in each for item in described["paths"].values() for each in item.values())
        assert "securitySchemes" not in described["components"]
        assert http.get(USAGE).json()["user_id"] == "local"
        assert http.get(USAGE, headers={"X-On-Behalf-Of": "ann"}).json()["user_id"] == "ann"


def test_a_service_acts_as_the_user_that_it_names(http: httpx.Client) -> None:
    assert http.get(USAGE, headers=gateway()).json()["user_id"] == "gateway"
    assert http.get(USAGE, headers=gateway("ann")).json()["user_id"] == "ann"
    saved = http.post("/api/v1/voice/profile", json=PROFILE, headers=gateway("ann")).json()
    assert saved["user_id"] == "ann"
    path = f"/api/v1/voice/profile/{saved['profile_id']}"
    assert http.get(path, headers=as_user("ann")).status_code == 200
    assert http.get(path, headers=gateway("ann")).status_code == 200
    for other in (gateway(), gateway("bob"), as_user("bob")):
        _is(http.get(path, headers=other), 404, "not_found")


def test_a_name_is_read_as_utf_8(http: httpx.Client) -> None:
    headers: list[Any] = [*gateway().items(), (b"X-On-Behalf-Of", "Zoë→ñ".encode())]
    answer = http.get(USAGE, headers=headers)
    assert answer.json()["user_id"] == "Zoë→ñ"


@pytest.mark.parametrize("user_id", [b"", b"a b", b"\xff", b"x" * 201, b"a\tb"])
def test_what_is_no_user_id_is_refused(http: httpx.Client, user_id: bytes) -> None:
    headers: list[Any] = [*gateway().items(), (b"X-On-Behalf-Of", user_id)]
    _is(http.get(USAGE, headers=headers), 422, "validation_error")


def test_two_names_are_refused(http: httpx.Client) -> None:
    headers = [*gateway().items(), ("X-On-Behalf-Of", "ann"), ("X-On-Behalf-Of", "ann")]
    _is(http.get(USAGE, headers=headers), 422, "validation_error")


def test_only_a_service_acts_for_others_and_only_as_a_user(http: httpx.Client) -> None:
    for scope in ("voice", "voice admin"):
        refused = http.get(USAGE, headers=as_user("ann", scope) | {"X-On-Behalf-Of": "bob"})
        _is(refused, 403, "forbidden")
        assert "`voice:service`" in refused.json()["detail"]
    everything = as_user("gateway", " ".join(ALL_SCOPES)) | {"X-On-Behalf-Of": "ann"}
    _is(http.get("/api/v1/admin/audit", headers=everything), 403, "forbidden")
    _is(http.post("/api/v1/voice/profile", json=PROFILE | {"user_id": "bob"}, headers=everything), 403, "forbidden")
    only_service = as_user("gateway", "voice:service") | {"X-On-Behalf-Of": "ann"}
    _is(http.get(USAGE, headers=only_service), 403, "forbidden")


def audited(settings: Settings, user_id: str) -> list[AuditEvent]:
    async def read() -> list[AuditEvent]:
        database = Database(settings.effective_database_url)
        try:
            return [recorded.event for recorded in await SqlAuditLog(database).about(user_id, 100)]
        finally:
            await database.close()

    return asyncio.run(read())


def test_the_audit_log_has_the_user_and_who_really_called(http: httpx.Client, settings: Settings) -> None:
    path = "/api/v1/voice/profile"
    by_header = http.post(path, json=PROFILE, headers=gateway("carl")).json()["profile_id"]
    by_field = http.post(path, json=PROFILE | {"user_id": "carl"}, headers=gateway()).json()["profile_id"]
    own = http.post(path, json=PROFILE, headers=as_user("carl")).json()["profile_id"]
    assert http.delete(f"{path}/{by_header}", headers=gateway("carl")).status_code == 204
    assert http.delete(f"{path}/{own}", headers=as_user("carl")).status_code == 204
    events = audited(settings, "carl")[::-1]
    assert [(event.action, event.details.get("by")) for event in events] == [
        ("profile.save", "gateway"),
        ("profile.save", "gateway"),
        ("profile.save", None),
        ("profile.delete", "gateway"),
        ("profile.delete", None),
    ]
    assert events[1].subject == f"profile:{by_field}"


def revoke(settings: Settings, *, user_id: str | None = None, token_id: str | None = None) -> None:
    async def run() -> None:
        async with running_sessions(settings) as sessions:
            if user_id is not None:
                await sessions.revoke_user(user_id, "operator")
            if token_id is not None:
                await sessions.revoke_token(token_id, "operator")

    asyncio.run(run())


def test_a_revoked_user_is_nobody_that_a_service_may_act_for_with_an_older_token(
    http: httpx.Client, settings: Settings
) -> None:
    revoke(settings, user_id="dora")
    _is(http.get(USAGE, headers=gateway("dora")), 401, "unauthenticated")
    body = PROFILE | {"user_id": "dora"}
    _is(http.post("/api/v1/voice/profile", json=body, headers=gateway()), 401, "unauthenticated")
    assert http.get(USAGE, headers=gateway("erik")).json()["user_id"] == "erik"
    assert http.get(USAGE, headers=gateway()).json()["user_id"] == "gateway"


def test_a_revoked_service_acts_for_nobody(http: httpx.Client, settings: Settings) -> None:
    revoke(settings, token_id="lost")
    for user_id in (None, "erik"):
        _is(http.get(USAGE, headers=gateway(user_id, jti="lost")), 401, "unauthenticated")
        assert http.get(USAGE, headers=gateway(user_id, jti="kept")).status_code == 200
    revoke(settings, user_id="another-gateway")
    service = as_user("another-gateway", "voice voice:service") | {"X-On-Behalf-Of": "erik"}
    _is(http.get(USAGE, headers=service), 401, "unauthenticated")


def test_sound_that_is_streamed_to_a_service_names_whose_job_it_is(http: httpx.Client) -> None:
    body = {"audio": "AAAA", "target_language": "es"}
    answer = http.post("/api/v1/voice/translate", json=body, headers=gateway("ann") | {"Accept": "audio/wav"})
    assert (answer.status_code, answer.content[:4]) == (200, b"RIFF")
    job = http.get(answer.headers["content-location"], headers=gateway())
    assert (job.status_code, job.json()["status"]) == (200, "completed")
