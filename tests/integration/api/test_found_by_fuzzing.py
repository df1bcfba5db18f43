"""What fuzzing found, each once more by itself."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.engines import serve
from tests.support.messages import AUDIO, MESSAGE, PROFILE

CLONE = {"reference_audio": AUDIO, "text": "Hola.", "target_language": "es"}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serve(tmp_path_factory.mktemp("found"), min_reference_seconds=0.5) as client:
        yield client


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    """With escapes, as half a surrogate pair can be sent only so."""
    headers = {"Content-Type": "application/json"}
    return http.post(f"/api/v1/voice/{path}", content=json.dumps(body), headers=headers)


def test_a_context_may_be_null(http: httpx.Client) -> None:
    assert post(http, "translate", MESSAGE | {"options": {"context": None}}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("translate", MESSAGE, "options.context"),
        ("translate", MESSAGE, "callback_url"),
        ("translate", MESSAGE, "voice_profile_id"),
        ("clone", CLONE, "text"),
        ("profile", PROFILE, "name"),
        ("profile", PROFILE, "user_id"),
        ("profile", PROFILE, "consent.statement"),
    ],
)
def test_text_that_a_database_cannot_keep_is_refused(
    http: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    outer, _, inner = field.partition(".")
    for text, said in (("a\0b", (422, "validation_error")), ("a\ud800b", (400, "malformed_json"))):
        wrong = body | {outer: {**body.get(outer, {}), inner: text} if inner else text}
        response = post(http, path, wrong)
        assert (response.status_code, response.json()["code"]) == said
        assert [error["field"] for error in response.json().get("errors", [{"field": field}])] == [field]


def test_a_range_beyond_all_numbers_is_ignored(http: httpx.Client) -> None:
    url = post(http, "translate", MESSAGE).json()["audio_url"]
    assert http.get(url, headers={"Range": f"bytes={'9' * 5000}-"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/api/v1/voice/job/abc", {"GET", "HEAD", "DELETE"}),
        ("/api/v1/voice/translate", {"POST"}),
        ("/health/live", {"GET", "HEAD"}),
    ],
)
def test_allow_names_every_method_of_an_address(http: httpx.Client, path: str, taken: set[str]) -> None:
    for method in ("OPTIONS", "TRACE", "PATCH", "QUERY"):
        response = http.request(method, path)
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert set(response.headers["allow"].split(", ")) == taken


@pytest.mark.parametrize("path", ["/", "/health/live", "/api/v1/languages", "/api/v1/voice/job/abc"])
def test_head_is_get_without_the_body(http: httpx.Client, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) == len(get.content)
