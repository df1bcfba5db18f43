"""The whole service on a real Redis: two of it share what they learned, and one goes on when Redis does not."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from src.bootstrap.engines import Engines
from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes.engines import fake_engines
from tests.fakes.fakes import FakeTranslator
from tests.servers.redis import RedisServer
from tests.support.options import applied

BODY = {"audio": base64.b64encode(b"any bytes").decode(), "target_language": "es", "source_language": "en"}


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A busy machine is not taken for a Redis that is away."""
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 2.0}}):
        yield


def settings(folder: Path, url: str) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=folder,
        redis_url=SecretStr(url),
        rate_limit_translations_per_minute=20,
    )


def engines(translator: FakeTranslator) -> Engines:
    return fake_engines(translators=(translator,))


def degraded(http: httpx.Client) -> list[str]:
    answer = http.get("/health").json()
    assert answer["status"] == ("degraded" if answer["degraded"] else "healthy")
    assert http.get("/health/ready").status_code == 200
    return [line for line in answer["degraded"] if line.startswith("redis")]


def await_degraded(http: httpx.Client, wanted: bool) -> None:
    deadline = time.monotonic() + 60
    while bool(degraded(http)) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_services_share_translations_and_limits(redis_server: RedisServer, tmp_path: Path) -> None:
    first, second = FakeTranslator(), FakeTranslator()
    one = create_app(settings(tmp_path / "one", redis_server.url), engines(first))
    two = create_app(settings(tmp_path / "two", redis_server.url), engines(second))
    with serving(one) as at_one, serving(two) as at_two:
        left = []
        for url in (at_one, at_two):
            answer = httpx.post(f"{url}/api/v1/voice/translate", json=BODY, timeout=60)
            assert answer.status_code == 200
            left.append(answer.headers["x-ratelimit-remaining"])
        assert left == ["19", "18"]
    assert (first.calls, second.calls) == (1, 0)


def test_a_service_goes_on_without_redis_and_says_so(redis_server: RedisServer, tmp_path: Path) -> None:
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 1.0, "calm_seconds": 0.5}}):
        app = create_app(settings(tmp_path / "data", redis_server.url), engines(FakeTranslator()))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        assert degraded(http) == []
        redis_server.stop()
        answer = http.post("/api/v1/voice/translate", json=BODY)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "5")
        await_degraded(http, wanted=True)
        redis_server.start()
        await_degraded(http, wanted=False)
        answer = http.post("/api/v1/voice/translate", json=BODY)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "20")


def test_a_service_starts_without_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.stop()
    app = create_app(settings(tmp_path / "data", redis_server.url), engines(FakeTranslator()))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        assert degraded(http)
        assert http.post("/api/v1/voice/translate", json=BODY).status_code == 200


@pytest.mark.parametrize("url", ["http://:secret@localhost", "redis://:secret@localhost:port", "localhost:6379"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, redis_url=SecretStr(url))
    assert "secret" not in str(refused.value)
