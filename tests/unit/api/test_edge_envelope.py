"""The envelope for gateways."""

import pytest

from src.api.middleware import Edge
from src.api.middleware.envelope import ENVELOPE, wants_envelope
from src.domain.errors import Overloaded
from tests.support.edge_app import client, edge_app


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([ENVELOPE], True),
        ([ENVELOPE.upper()], True),
        ([f"application/json;q=0.5, {ENVELOPE}"], True),
        (["text/html", f"{ENVELOPE};q=0.1"], True),
        ([f"{ENVELOPE}, */*"], True),
        ([f"{ENVELOPE};profile=x; q=0.8 , */*;q=0.1"], True),
        ([f"application/json, {ENVELOPE};q=0.5"], False),
        ([f"*/*, {ENVELOPE};q=0.5"], False),
        ([f"{ENVELOPE};q=0"], False),
        ([f"{ENVELOPE};q=many"], False),
        (["application/json"], False),
        (["*/*"], False),
        (["application/*"], False),
        ([", ;q=1,"], False),
        ([], False),
    ],
)
def test_negotiation(accept: list[str], wanted: bool) -> None:
    assert wants_envelope(accept) is wanted


async def test_success_is_wrapped() -> None:
    app = edge_app(Edge(max_body_bytes=10_000_000))
    async with client(app) as http:
        plain = await http.post("/api/v1/voice/translate", json={"audio": "A" * 5_000_000})
        wrapped = await http.post("/api/v1/voice/translate", json={"audio": "AAA"}, headers={"accept": ENVELOPE})
    assert plain.json() == {"characters": 5_000_000}
    assert wrapped.json() == {"success": True, "data": {"characters": 3}}
    assert wrapped.headers["content-type"] == ENVELOPE
    assert int(wrapped.headers["content-length"]) == len(wrapped.content)
    assert "Accept" in wrapped.headers["vary"]
    assert "Accept" in plain.headers["vary"]


async def test_errors_of_routes_and_of_the_edge_are_wrapped() -> None:
    app = edge_app(Edge(max_body_bytes=1000, requests_per_minute=5), error=Overloaded("full", retry_after_seconds=9))
    async with client(app) as http:
        http.headers["accept"] = ENVELOPE
        failing = await http.get("/api/v1/failing")
        unknown = await http.get("/api/v1/unknown")
        large = await http.post("/api/v1/voice/translate", json={"audio": "A" * 2000})
        invalid = await http.post("/api/v1/voice/translate", json={})
        await http.get("/api/v1/failing")
        limited = await http.get("/api/v1/failing")
    found = [
        (response.status_code, response.json()["error"]["code"]) for response in (failing, unknown, large, invalid)
    ]
    assert found == [(503, "overloaded"), (404, "not_found"), (413, "audio_too_large"), (422, "validation_error")]
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limited")
    for response in (failing, unknown, large, invalid, limited):
        assert response.headers["content-type"] == ENVELOPE
        assert response.json()["success"] is False
        assert int(response.headers["content-length"]) == len(response.content)
        assert response.headers["x-request-id"] == response.json()["error"]["request_id"]
    assert failing.headers["retry-after"] == "9"


async def test_what_is_not_json_stays() -> None:
    async with client(edge_app()) as http:
        http.headers["accept"] = ENVELOPE
        assert (await http.get("/api/v1/audio/k")).content == b"RIFFk"
        assert (await http.get("/")).text == "<p>"
        assert (await http.get("/openapi.json")).json()["openapi"]
