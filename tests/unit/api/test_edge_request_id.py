"""Request ids, trace ids, the access log and the security headers."""

import logging
import re

import pytest

from tests.support.edge_app import client, edge_app

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_what_the_caller_sent_comes_back() -> None:
    async with client(edge_app()) as http:
        headers = {"x-request-id": "phone-17:A_b.c", "traceparent": TRACE}
        response = await http.get("/api/v1/whoami/x", headers=headers)
    assert response.headers["x-request-id"] == response.json()["request_id"] == "phone-17:A_b.c"
    assert response.headers["traceparent"] == TRACE


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "é", "<script>", "a,b"])
async def test_an_odd_request_id_is_replaced(bad: str) -> None:
    async with client(edge_app()) as http:
        response = await http.get("/health/live", headers=[(b"x-request-id", bad.encode())])
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACE.upper(),
        "ff" + TRACE[2:],
        TRACE + "-extra",
        TRACE[:-1],
    ],
)
async def test_an_odd_traceparent_is_replaced(bad: str) -> None:
    async with client(edge_app()) as http:
        found = [(await http.get("/health/live", headers={"traceparent": bad})).headers["traceparent"] for _ in "12"]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", item) for item in found)
    assert len({*found, bad}) == 3


async def test_one_access_line_without_query_path_or_body(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "src.api.middleware.request_id")
    async with client(edge_app()) as http:
        await http.get(
            "/api/v1/whoami/private-id?signature=secret", headers={"x-request-id": "r1", "traceparent": TRACE}
        )
        await http.get("/health/live")
        await http.get("/some/unknown/private-id")
    lines = [record.getMessage() for record in caplog.records if record.name == "src.api.middleware.request_id"]
    assert len(lines) == 2
    expected = (
        r"method=GET route=/api/v1/whoami/\{anything\} status=200 ms=\d+\.\d request_id=r1 trace_id=4bf92f3577b3\w+"
    )
    assert re.fullmatch(expected, lines[0])
    assert "route=(none) status=404" in lines[1]
    assert "private" not in caplog.text
    assert "secret" not in caplog.text
