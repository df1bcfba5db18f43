"""The whole service on a real Redis: two of it share what they learned, and one goes on when Redis does not."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from src.config.settings import Settings
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranslator
from tests.servers.redis import RedisServer
from tests.support.messages import MESSAGE
from tests.support.options import applied

LIMIT = {"rate_limit_translations_per_minute": 20}


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A busy machine is not taken for a Redis that is away."""
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 2.0}}):
        yield


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
    with ExitStack() as both:
        left = []
        for name, translator in (("one", first), ("two", second)):
            engines = fake_engines(translators=(translator,))
            http = both.enter_context(serve(tmp_path / name, engines, redis_url=redis_server.url, **LIMIT))
            answer = http.post("/api/v1/voice/translate", json=MESSAGE)
            assert answer.status_code == 200
            left.append(answer.headers["x-ratelimit-remaining"])
        assert left == ["19", "18"]
    assert (first.calls, second.calls) == (1, 0)


def test_a_service_goes_on_without_redis_and_says_so(redis_server: RedisServer, tmp_path: Path) -> None:
    hurried = applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 1.0, "calm_seconds": 0.5}})
    with hurried, serve(tmp_path / "data", redis_url=redis_server.url, **LIMIT) as http:
        assert degraded(http) == []
        redis_server.stop()
        answer = http.post("/api/v1/voice/translate", json=MESSAGE)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "5")
        await_degraded(http, wanted=True)
        redis_server.start()
        await_degraded(http, wanted=False)
        answer = http.post("/api/v1/voice/translate", json=MESSAGE)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "20")


def test_a_service_starts_without_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.stop()
    with serve(tmp_path / "data", redis_url=redis_server.url, **LIMIT) as http:
        assert degraded(http)
        assert http.post("/api/v1/voice/translate", json=MESSAGE).status_code == 200


@pytest.mark.parametrize("url", ["http://:secret@localhost", "redis://:secret@localhost:port", "localhost:6379"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, redis_url=SecretStr(url))
    assert "secret" not in str(refused.value)
