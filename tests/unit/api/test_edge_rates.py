"""Rate limits: exact counts, the headers, and whom a request counts for."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from src.api.middleware import Edge
from src.api.middleware.rate_limit import client_of
from tests.support.edge_app import client, edge_app
from tests.unit.api.test_edge_auth import token, verifier

TRANSLATE = "/api/v1/voice/translate"


async def test_translations_per_user() -> None:
    app = edge_app(Edge(max_body_bytes=1000, verifier=verifier(), translations_per_minute=3))
    anna, bert = ({"authorization": f"Bearer {token(sub=name)}"} for name in ("anna", "bert"))
    async with client(app) as http:
        answers = await asyncio.gather(*(http.post(TRANSLATE, json={"audio": "A"}, headers=anna) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
        assert (await http.post(TRANSLATE, json={"audio": "A"}, headers=bert)).status_code == 200
        assert (await http.get("/api/v1/whoami/x", headers=anna)).status_code == 200
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["retryable"] is True
    check_headers(refused, "user", limit=3, remaining=0)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    served = [answer for answer in answers if answer.status_code == 200]
    assert all(answer.headers["ratelimit-policy"] == '"user";q=3;w=60' for answer in served)
    assert min(int(answer.headers["x-ratelimit-remaining"]) for answer in served) == 0


def check_headers(response: httpx.Response, policy: str, limit: int, remaining: int) -> None:
    headers = response.headers
    assert headers["ratelimit-policy"] == f'"{policy}";q={limit};w=60'
    name, left, reset = headers["ratelimit"].split(";")
    assert (name, left) == (f'"{policy}"', f"r={remaining}")
    assert 1 <= int(reset.removeprefix("t=")) <= 60
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == (str(limit), str(remaining))
    assert 0 < int(headers["x-ratelimit-reset"]) - time.time() <= 61


async def test_requests_per_client_address() -> None:
    app = edge_app(Edge(max_body_bytes=1000, requests_per_minute=2))
    async with client(app, "192.0.2.1") as one, client(app, "192.0.2.2") as other:
        check_headers(await one.get("/api/v1/whoami/x"), "client", limit=2, remaining=1)
        assert (await one.get("/api/v1/unknown")).status_code == 404
        assert (await one.get("/api/v1/whoami/x")).status_code == 429
        assert (await other.get("/api/v1/whoami/x")).status_code == 200
        for path in ("/health/live", "/api/v1/audio/k"):
            answers = [await one.get(path) for _ in range(5)]
            assert all(answer.status_code == 200 and "ratelimit" not in answer.headers for answer in answers)


async def test_guessing_tokens_counts() -> None:
    app = edge_app(Edge(max_body_bytes=1000, verifier=verifier(), requests_per_minute=2))
    async with client(app) as http:
        answers = [(await http.get("/api/v1/whoami/x")).status_code for _ in range(4)]
    assert answers == [401, 401, 429, 429]


async def test_both_limits_are_told() -> None:
    app = edge_app(Edge(max_body_bytes=1000, translations_per_minute=1, requests_per_minute=9))
    async with client(app) as http:
        answers = [await http.post(TRANSLATE, json={"audio": "A"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.headers["ratelimit-policy"] == '"user";q=1;w=60, "client";q=9;w=60'
        assert answer.headers["x-ratelimit-limit"] == "1"


async def test_zero_means_no_limit() -> None:
    async with client(edge_app()) as http:
        answers = [await http.post(TRANSLATE, json={"audio": "A"}) for _ in range(30)]
    assert all(answer.status_code == 200 and "x-ratelimit-limit" not in answer.headers for answer in answers)


def test_the_window_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)

    async def scenario() -> list[int]:
        nonlocal now
        found = []
        async with client(edge_app(Edge(max_body_bytes=1000, requests_per_minute=2))) as http:
            for step in (0, 40, 10, 11, 10, 30):
                now += step
                found.append((await http.get("/api/v1/whoami/x")).status_code)
        return found

    assert asyncio.run(scenario()) == [200, 200, 429, 200, 429, 200]


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        (None, [], "unknown"),
    ],
)
def test_the_client_address_behind_trusted_proxies(peer: str | None, forwarded: list[str], counted: str) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    scope: dict[str, Any] = {"type": "http", "path": "/x", "headers": headers, "client": (peer, 1) if peer else None}
    assert client_of(["10.0.0.0/24"], lambda _: False)(scope) == counted
    assert client_of(["10.0.0.0/24"], lambda _: True)(scope) is None
