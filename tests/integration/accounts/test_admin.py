"""What administrators do over HTTP: refuse tokens, and read who did what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.api import cursor as cursors
from src.domain.jobs import Place, now
from tests.fakes.engines import serve
from tests.support.messages import PROFILE
from tests.support.tokens import WITH_TOKENS, as_user

REVOCATIONS, AUDIT, USAGE = "/api/v1/admin/revocations", "/api/v1/admin/audit", "/api/v1/usage"
ROOT = as_user("root", "admin")


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serve(tmp_path, min_reference_seconds=0.5, **WITH_TOKENS) as client:
        yield client


def status(http: httpx.Client, headers: dict[str, str]) -> int:
    return http.get(USAGE, headers=headers).status_code


def audited(http: httpx.Client, user_id: str, **query: Any) -> dict[str, Any]:
    answer = http.get(AUDIT, params={"user_id": user_id, **query}, headers=ROOT)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_token_and_a_user_are_refused_from_then_on(http: httpx.Client) -> None:
    lost, kept, bob = as_user("ann", jti="t-1"), as_user("ann", jti="t-2"), as_user("bob", jti="t-3")
    assert [status(http, token) for token in (lost, kept, bob)] == [200] * 3
    done = http.post(REVOCATIONS, json={"token_id": "t-1"}, headers=ROOT)
    assert (done.status_code, done.json()["subject"]) == (200, "token:t-1")
    assert done.json()["issued_until"] < done.json()["expires_at"]
    assert [status(http, token) for token in (lost, kept, bob)] == [401, 200, 200]
    assert http.post(REVOCATIONS, json={"user_id": "ann"}, headers=ROOT).json()["subject"] == "user:ann"
    assert [status(http, token) for token in (lost, kept, bob)] == [401, 401, 200]
    (event,) = audited(http, "ann")["events"]
    assert (event["user_id"], event["by"], event["action"], event["subject"]) == (
        "root",
        None,
        "token.revoke",
        "user:ann",
    )


def test_what_names_neither_a_token_nor_a_user_is_refused(http: httpx.Client) -> None:
    for body in (
        {},
        {"token_id": "t", "user_id": "u"},
        {"token_id": None, "user_id": None},
        {"token_id": ""},
        {"token_id": "x" * 201},
        {"token_id": 7},
        {"user_id": "a b"},
        {"user_id": "x\u0000"},
    ):
        refused = http.post(REVOCATIONS, json=body, headers=ROOT)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error"), body


def test_the_audit_log_is_read_page_by_page(http: httpx.Client) -> None:
    gateway = as_user("gateway", "voice voice:service") | {"X-On-Behalf-Of": "ann"}
    profiles = [
        http.post("/api/v1/voice/profile", json=PROFILE, headers=headers).json()["profile_id"]
        for headers in (as_user("ann"), gateway, as_user("bob"))
    ]
    http.delete(f"/api/v1/voice/profile/{profiles[0]}", headers=as_user("ann"))
    first = audited(http, "ann", limit=2)
    second = audited(http, "ann", limit=2, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    told = first["events"] + second["events"]
    assert [(each["action"], each["by"], each["outcome"]) for each in told] == [
        ("profile.delete", None, "completed"),
        ("profile.save", "gateway", "completed"),
        ("profile.save", None, "completed"),
    ]
    assert told[1]["subject"] == f"profile:{profiles[1]}"
    assert audited(http, "nobody") == {"events": [], "next_cursor": None}


def test_what_is_no_page_of_the_log_is_refused(http: httpx.Client) -> None:
    queries: list[dict[str, str | int]] = [
        {},
        {"user_id": ""},
        {"user_id": "ann", "limit": 0},
        {"user_id": "ann", "limit": 101},
        {"user_id": "ann", "cursor": "x"},
        {"user_id": "ann", "cursor": cursors.encode(Place(now(), "job-of-a-list"))},
        {"user_id": "ann", "cursor": cursors.encode(Place(now(), "9" * 40))},
    ]
    for query in queries:
        refused = http.get(AUDIT, params=query, headers=ROOT)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error"), query
