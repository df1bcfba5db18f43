"""The service with DeepL, Google and LibreTranslate behind it, over HTTP from end to end; only hearing and voice are
fakes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.bootstrap.translators import build_translators
from src.config.settings import Settings
from tests.fakes.engines import fake_engines, served
from tests.fakes.fakes import FakeTranscriber
from tests.providers.deepl_server import DeepLServer
from tests.providers.google_server import GoogleServer
from tests.providers.provider_server import Answer
from tests.support.messages import AUDIO
from tests.support.options import applied

HEARD = FakeTranscriber().sentences


@contextmanager
def service(data_dir: Path, options: dict[str, Any], **settings: Any) -> Iterator[httpx.Client]:
    given = Settings(_env_file=None, data_dir=data_dir, **settings)
    with applied(options):
        translation = build_translators(given)
    with served(
        given,
        fake_engines(translators=translation.engines, passing_notices=translation.resting, close=translation.close),
    ) as http:
        yield http


@pytest.fixture
def deepl() -> Iterator[DeepLServer]:
    with DeepLServer() as running:
        yield running


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as running:
        yield running


@pytest.fixture
def http(deepl: DeepLServer, google: GoogleServer, tmp_path: Path) -> Iterator[httpx.Client]:
    patience = {"total_seconds": 2.0}
    options = {
        "src.bootstrap.translators.DeepLTranslator": {"url": deepl.url},
        "src.bootstrap.translators.GoogleTranslator": {"url": f"{google.url}/m"},
        "src.adapters.translators.deepl.Budget": patience,
        "src.adapters.translators.google.Budget": patience,
    }
    settings = {"translation_engines": "deepl,google", "deepl_api_key": deepl.key}
    with service(tmp_path / "data", options, **settings) as client:
        yield client


def translate(http: httpx.Client, target: str = "es", source: str = "en", **options: str) -> httpx.Response:
    body = {"audio": AUDIO, "source_language": source, "target_language": target, "options": options}
    return http.post("/api/v1/voice/translate", json=body)


def test_deepl_translates_the_message_in_one_request(
    http: httpx.Client, deepl: DeepLServer, google: GoogleServer
) -> None:
    answer = translate(http).json()
    assert answer["translated_text"] == " ".join(f"ES:{sentence}" for sentence in HEARD)
    assert [part["translated_text"] for part in answer["segments"]] == [f"ES:{sentence}" for sentence in HEARD]
    assert (answer["engines"]["translation"], answer["degraded"]) == ("deepl", [])
    assert deepl.bodies == [{"text": [*HEARD], "source_lang": "EN", "target_lang": "ES", "context": " ".join(HEARD)}]
    assert translate(http).json()["translated_text"] == answer["translated_text"]
    assert (len(deepl.requests), len(google.requests)) == (1, 0)


def test_a_region_is_accepted(http: httpx.Client, deepl: DeepLServer) -> None:
    british = translate(http, "EN-gb", "fr-CA").json()
    plain = translate(http, "en", "fr-CA").json()
    assert (british["target_language"], british["target_variant"]) == ("en", "en-GB")
    assert (plain["target_language"], plain["target_variant"]) == ("en", "en-US")
    assert british["translated_text"].startswith("EN-GB:")
    assert [(body["source_lang"], body["target_lang"]) for body in deepl.bodies] == [("FR", "EN-GB"), ("FR", "EN-US")]
    mexican = translate(http, "es-MX").json()
    assert (mexican["target_language"], mexican["target_variant"], mexican["degraded"]) == ("es", "es-419", [])


def test_the_callers_wording_reaches_deepl(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.glossary = ("g-1", "EN", "ES")
    wording = {"formality": "prefer_less", "glossary_id": "g-1", "context": "Two friends at a station."}
    answers = [translate(http, **wording).json() for _ in range(2)]
    assert [answer["degraded"] for answer in answers] == [[], []]
    (body,) = deepl.bodies
    assert (body["formality"], body["glossary_id"]) == ("prefer_less", "g-1")
    assert str(body["context"]).startswith("Two friends at a station. ")
    assert translate(http).status_code == 200
    assert len(deepl.requests) == 2


def test_google_says_what_it_leaves_aside(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.always = Answer(456)
    answer = translate(http, "es-419", formality="more").json()
    assert (answer["engines"]["translation"], answer["target_variant"]) == ("google", None)
    assert answer["degraded"] == [
        "The translator deepl did not answer.",
        "Translated without the regional variant es-419: google does not support it.",
        "Translated without the formality: google does not support it.",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"formality": "rude"},
        {"glossary_id": ""},
        {"glossary_id": "a" * 65},
        {"glossary_id": "../g1"},
        {"context": "a" * 2001},
    ],
    ids=["formality", "empty", "long", "path", "context"],
)
def test_a_wording_that_no_engine_takes_is_refused(
    http: httpx.Client, deepl: DeepLServer, options: dict[str, str]
) -> None:
    response = translate(http, **options)
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")
    assert f"options.{next(iter(options))}" in response.json()["detail"]
    assert deepl.requests == []


def test_a_provider_that_names_a_time_is_quoted(http: httpx.Client, deepl: DeepLServer, google: GoogleServer) -> None:
    deepl.always = google.always = Answer(429, headers={"Retry-After": "40"})
    response = translate(http)
    assert response.status_code == 502
    assert 38 <= int(response.headers["Retry-After"]) <= 40
    body = {"audio": AUDIO, "source_language": "en", "target_language": "es"}
    accepted = http.post("/api/v1/voice/translate", json=body, headers={"Prefer": "respond-async"})
    for _ in range(200):
        job = http.get(accepted.headers["Location"])
        if job.json()["status"] == "failed":
            break
        time.sleep(0.02)
    assert 38 <= job.json()["error"]["retry_after_seconds"] <= 40
    assert 38 <= int(job.headers["Retry-After"]) <= 40


def test_google_serves_when_deepl_has_no_quota_left(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.always = Answer(456)
    answer = translate(http).json()
    assert answer["translated_text"] == " ".join(f"es:{sentence}" for sentence in HEARD)
    assert answer["engines"]["translation"] == "google"
    assert answer["degraded"] == ["The translator deepl did not answer."]


def test_health_names_the_engines_and_the_one_that_is_left_alone(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.always = Answer(403)
    before = http.get("/health").json()
    for _ in range(5):
        assert translate(http).status_code == 200
    health = http.get("/health").json()
    assert (before["engines"]["translation"], before["status"]) == ("deepl, google", "healthy")
    assert health["status"] == "degraded"
    assert health["degraded"] == [
        "translation: deepl failed several times and is left alone for a while (breaker open)"
    ]
    assert http.get("/health/ready").status_code == 200
    assert len(deepl.requests) == 5
    translate(http)
    assert len(deepl.requests) == 5


def test_nobody_answers(http: httpx.Client, deepl: DeepLServer, google: GoogleServer) -> None:
    deepl.always = google.always = Answer(503)
    response = translate(http)
    assert (response.status_code, response.json()["code"]) == (502, "translation_unavailable")
    assert response.json()["retryable"] is True
    assert deepl.key not in response.text
    deepl.always = None
    assert translate(http).status_code == 200


def test_languages_are_those_that_can_be_heard_and_spoken(http: httpx.Client) -> None:
    pairs = http.get("/api/v1/languages").json()["pairs"]
    assert {(pair["source"], pair["target"], pair["engine"]) for pair in pairs} == {
        (source, target, "deepl") for source in ("en", "fr") for target in ("en", "es", "fr") if source != target
    }
    for pair in pairs:
        assert translate(http, pair["target"], pair["source"]).json()["engines"]["translation"] == "deepl"
