"""What fuzzing found, each once more by itself."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes.engines import fake_engines

AUDIO = base64.b64encode(b"any bytes").decode()
TRANSLATE = {"audio": AUDIO, "target_language": "es", "source_language": "en"}
CLONE = {"reference_audio": AUDIO, "text": "Hola.", "target_language": "es"}
PROFILE = {
    "reference_audio": AUDIO,
    "consent": {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"},
}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    engines = fake_engines()
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("found") / "data", min_reference_seconds=0.5)
    with serving(create_app(settings, engines)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    """With escapes, as half a surrogate pair can be sent only so."""
    headers = {"Content-Type": "application/json"}
    return http.post(f"/api/v1/voice/{path}", content=json.dumps(body), headers=headers)


def test_a_context_may_be_null(http: httpx.Client) -> None:
    assert post(http, "translate", TRANSLATE | {"options": {"context": None}}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("translate", TRANSLATE, "options.context"),
        ("translate", TRANSLATE, "callback_url"),
        ("translate", TRANSLATE, "voice_profile_id"),
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
    url = post(http, "translate", TRANSLATE).json()["audio_url"]
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
