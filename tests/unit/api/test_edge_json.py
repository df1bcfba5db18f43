"""Bodies as strict JSON: what two parsers may read in two ways is refused, and no body is a defect of the service."""

import json
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from src.api.middleware import Edge
from src.api.requests import JsonRoute
from src.config.settings import Settings
from src.main import create_app
from tests.support.edge_app import client, edge_app

TRANSLATE = "/api/v1/voice/translate"
JSON = {"content-type": "application/json"}

REFUSED = {
    "10,000 brackets": (b"[" * 10_000, "nested too deep"),
    "deep in a field": (b'{"extra":' * 10_000, "nested too deep"),
    "a key twice": (b'{"audio":"A","audio":"B"}', "twice"),
    "a key twice, one escaped": (b'{"audio":"A","\\u0061udio":"B"}', "twice"),
    "a key twice, deep": (b'{"audio":"A","extra":{"secret-words":1,"secret-words":1}}', "twice"),
    "NaN": (b'{"audio":"A","extra":{"a":NaN}}', "stops being JSON"),
    "Infinity": (b'{"audio":"A","extra":{"a":-Infinity}}', "stops being JSON"),
    "a huge number": (b'{"audio":"A","quality":' + b"9" * 5000 + b"}", "stops being JSON"),
    "not UTF-8": (b'{"audio":"\xff"}', "stops being JSON"),
    "an encoded surrogate": (b'{"audio":"\xed\xa0\x80"}', "stops being JSON"),
    "half a surrogate pair": (b'{"audio":"\\ud800"}', "stops being JSON"),
    "UTF-16": ('{"audio":"A"}'.encode("utf-16"), "stops being JSON"),
    "two byte order marks": (b'\xef\xbb\xbf\xef\xbb\xbf{"audio":"A"}', "stops being JSON"),
    "a control character": (b'{"audio":"\x00"}', "control character inside a text"),
    "base64 in lines that are not escaped": (b'{"audio":"QUJD\r\nQUJD"}', "base64 -w0"),
    "two documents": (b'{"audio":"A"} {"audio":"B"}', "stops being JSON"),
    "a trailing comma": (b'{"audio":"A",}', "stops being JSON"),
    "single quotes": (b"{'audio':'A'}", "stops being JSON"),
}


@pytest.mark.parametrize(("body", "detail"), REFUSED.values(), ids=REFUSED)
async def test_refused(body: bytes, detail: str) -> None:
    async with client(edge_app(Edge(max_body_bytes=1_000_000))) as http:
        response = await http.post(TRANSLATE, content=body, headers=JSON)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")
    assert detail in response.json()["detail"]
    assert "secret-words" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {"audio": "[" * 10_000},
        {"audio": "{\"':" * 5_000},
        {"audio": "QUJD" * 1000, "extra": {"text": '[[[[\\"' * 1000}},
        {"audio": "😀\ufffd"},
        {"audio": "A", "extra": {"a": [[[[[1e308]]]]]}},
    ],
    ids=["brackets", "braces and quotes", "escapes", "emoji", "a few levels"],
)
async def test_text_may_hold_anything(body: dict[str, object]) -> None:
    async with client(edge_app(Edge(max_body_bytes=1_000_000))) as http:
        for content in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
            response = await http.post(TRANSLATE, content=content.encode(), headers=JSON)
            assert response.json() == {"characters": len(str(body["audio"]))}


async def test_a_byte_order_mark_is_passed_over() -> None:
    async with client(edge_app(Edge(max_body_bytes=1_000_000))) as http:
        response = await http.post(TRANSLATE, content=b'\xef\xbb\xbf{"audio":"A"}', headers=JSON)
    assert response.json() == {"characters": 1}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "1e-999", "9223372036854775808"])
async def test_a_number_out_of_range_is_no_defect(number: str) -> None:
    async with client(edge_app()) as http:
        for body in ('{"audio":"A","quality":%s}', '{"audio":"A","extra":{"a":%s}}'):
            response = await http.post(TRANSLATE, content=(body % number).encode(), headers=JSON)
            assert response.status_code in (200, 400, 422)


def test_every_route_with_a_body_parses_it_so(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path))
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    with_body = [route for route in routes if isinstance(route, APIRoute) and route.body_field]
    assert len(with_body) >= 4
    forms = [route.path for route in with_body if not isinstance(route, JsonRoute)]
    assert forms == ["/v1/audio/transcriptions", "/v1/audio/translations"]
