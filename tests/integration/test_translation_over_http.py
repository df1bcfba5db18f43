"""The service with DeepL, Google and LibreTranslate behind it, over HTTP from end to end; only hearing and voice are
fakes.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.bootstrap_engines import Engines
from src.bootstrap_translators import build_translators
from src.config.settings import Settings
from src.main import create_app
from tests.conftest import ROOT, serving
from tests.deepl_server import DeepLServer
from tests.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeVoice
from tests.google_server import GoogleServer
from tests.provider_server import Answer

AUDIO = base64.b64encode(b"any bytes: the decoder is a fake").decode()
HEARD = FakeTranscriber().sentences


@contextmanager
def service(data_dir: Path, **settings: Any) -> Iterator[httpx.Client]:
    given = Settings(_env_file=None, data_dir=data_dir, translation_timeout_seconds=2.0, **settings)
    translation = build_translators(given)
    engines = Engines(
        FakeDecoder(),
        FakeTranscriber(),
        translation.engines,
        FakeVoice(),
        FakeAnalyzer(),
        runners={},
        passing_notices=translation.resting,
        close=translation.close,
    )
    with serving(create_app(given, engines)) as url, httpx.Client(base_url=url, timeout=20) as http:
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
    with service(
        tmp_path / "data",
        translation_engines="deepl,google",
        deepl_api_key=deepl.key,
        deepl_url=deepl.url,
        google_translate_url=f"{google.url}/m",
    ) as client:
        yield client


def translate(http: httpx.Client, target: str = "es", source: str = "en") -> httpx.Response:
    body = {"audio": AUDIO, "source_language": source, "target_language": target}
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
    assert translate(http, "EN-gb", "fr-CA").json()["target_language"] == "en"
    assert (deepl.bodies[0]["source_lang"], deepl.bodies[0]["target_lang"]) == ("FR", "EN-US")


def test_google_serves_when_deepl_has_no_quota_left(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.always = Answer(456)
    answer = translate(http).json()
    assert answer["translated_text"] == " ".join(f"es:{sentence}" for sentence in HEARD)
    assert answer["engines"]["translation"] == "google"
    assert answer["degraded"] == ["translation: deepl did not answer"]


def test_health_names_the_engines_and_the_one_that_is_left_alone(http: httpx.Client, deepl: DeepLServer) -> None:
    deepl.always = Answer(403)
    before = http.get("/health").json()
    for _ in range(5):
        assert translate(http).status_code == 200
    health = http.get("/health").json()
    assert (before["engines"]["translation"], before["status"]) == ("deepl, google", "ok")
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


def test_a_named_engine_without_its_key_stops_the_start(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEEPL")}
    environment |= {"TRANSLATION_ENGINES": "deepl", "PORT": "0", "DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "src.main"], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert b"TRANSLATION_ENGINES names deepl, which needs DEEPL_API_KEY." in done.stderr
