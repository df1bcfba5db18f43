"""The moderation webhook, against a real server that answers as it should, or does not."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.adapters.moderation.webhook import ModerationWebhook
from src.adapters.translators.remote import Breaker, Budget
from src.config.values import signing_keys
from src.domain.errors import EngineUnavailable
from src.domain.moderation import CLEAN, Passage, ReviewStage, Severity, Verdict
from tests.providers.provider_server import Answer, as_json, deaf_address
from tests.servers.certificates import self_signed
from tests.servers.moderator import ModeratorServer, told
from tests.servers.ports import free_port
from tests.servers.receiver import SECRET, verified

BUDGET = Budget(connect_seconds=6, total_seconds=6)
USER_KEY = b"a key that the webhook does not have"
PASSAGE = Passage(("say broccoli", "twice"), "en", ReviewStage.TRANSCRIPT, "job-1", "ann@example.com")
THREAT = Verdict(("threat",), Severity.HIGH)


@pytest.fixture
def server() -> Iterator[ModeratorServer]:
    with ModeratorServer("broccoli") as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., ModerationWebhook]]:
    """Makes a webhook's client; all are closed at the end."""
    made: list[ModerationWebhook] = []

    def to(url: str, **changes: Any) -> ModerationWebhook:
        options: dict[str, Any] = {"user_key": None, "budget": BUDGET, **changes}
        made.append(ModerationWebhook(url, signing_keys(SECRET), **options))
        return made[-1]

    yield to
    for webhook in made:
        await webhook.close()


Connect = Callable[..., ModerationWebhook]


async def test_a_text_is_sent_signed_and_the_verdict_read(server: ModeratorServer, connect: Connect) -> None:
    webhook = connect(server.at("127.0.0.1", "/review?with=a-query"))
    assert await webhook.review(PASSAGE) == THREAT
    (request,) = server.requests
    assert request.path == "/review?with=a-query"
    assert verified(request)["type"] == "moderation.review"
    assert told(request) == {
        "texts": ["say broccoli", "twice"],
        "language": "en",
        "stage": "transcript",
        "request_id": "job-1",
        "user": None,
    }
    assert b"ann" not in request.body
    other = Passage(("say nothing",), "zh-Hant", ReviewStage.TRANSLATION, "job-1", "ann")
    assert await webhook.review(other) == CLEAN
    assert told(server.requests[1])["language"] == "zh-Hant"


async def test_a_user_has_a_name_of_its_own_there(server: ModeratorServer, connect: Connect) -> None:
    await connect(server.at("127.0.0.1"), user_key=USER_KEY).review(PASSAGE)
    (request,) = server.requests
    assert told(request)["user"] == hmac.new(USER_KEY, b"ann@example.com", hashlib.sha256).hexdigest()
    assert b"ann" not in request.body


async def test_what_fails_is_tried_again_with_the_same_id(server: ModeratorServer, connect: Connect) -> None:
    server.faults.extend([Answer(503), Answer(reset=True)])
    assert await connect(server.at("127.0.0.1")).review(PASSAGE) == THREAT
    assert len(server.requests) == 3
    assert len({(request.headers["webhook-id"], request.body) for request in server.requests}) == 1
    for request in server.requests:
        verified(request)


async def test_severity_and_categories_may_be_left_out_but_not_a_finding(
    server: ModeratorServer, connect: Connect
) -> None:
    webhook = connect(server.at("127.0.0.1"))
    server.faults.append(as_json({"flagged": True, "categories": ["a/b"]}))
    assert await webhook.review(PASSAGE) == Verdict(("a/b",), Severity.MEDIUM)
    server.faults.append(as_json({"flagged": True, "categories": []}))
    assert await webhook.review(PASSAGE) == Verdict(("unspecified",), Severity.MEDIUM)


NO_VERDICTS = {
    "not JSON": Answer(200, b"fine"),
    "nothing": Answer(200),
    "a list": as_json([]),
    "nothing said": as_json({}),
    "no categories": as_json({"flagged": False}),
    "a word for a truth": as_json({"flagged": "false", "categories": []}),
    "a number for a truth": as_json({"flagged": 0, "categories": []}),
    "categories of nothing": as_json({"flagged": False, "categories": ["threat"]}),
    "a sentence for a category": as_json({"flagged": True, "categories": ["he said broccoli"]}),
    "two lines": as_json({"flagged": True, "categories": ["threat\n"]}),
    "too many categories": as_json({"flagged": True, "categories": [f"c{n}" for n in range(33)]}),
    "another severity": as_json({"flagged": True, "categories": ["threat"], "severity": "huge"}),
    "another field": as_json({"flagged": False, "categories": [], "text": "broccoli"}),
    "too long": Answer(200, json.dumps({"flagged": False, "categories": []}).encode() + b" " * 20_000),
    "compressed": Answer(200, b"\x1f\x8b", {"Content-Encoding": "gzip"}),
    "no content": Answer(204),
    "elsewhere": Answer(302, headers={"Location": "http://127.0.0.1:1/"}),
    "a refusal": Answer(401),
    "too much text": Answer(413),
}


@pytest.mark.parametrize("answer", NO_VERDICTS.values(), ids=NO_VERDICTS.keys())
async def test_what_is_no_verdict_is_none(
    server: ModeratorServer, connect: Connect, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "src")
    server.always = answer
    with pytest.raises(EngineUnavailable) as failed:
        await connect(server.at("127.0.0.1", "/review?token=secret")).review(PASSAGE)
    assert len(server.requests) == 1  # it would say the same again
    for told_of in (caplog.text, failed.value.detail):
        assert "broccoli" not in told_of
        assert "secret" not in told_of


async def test_an_answer_that_drips_ends_with_the_budget(server: ModeratorServer, connect: Connect) -> None:
    server.always = Answer(200, b" " * 1000, drip=0.05)
    start = asyncio.get_running_loop().time()
    with pytest.raises(EngineUnavailable):
        await connect(server.at("127.0.0.1"), budget=Budget(0.3, 0.8)).review(PASSAGE)
    assert asyncio.get_running_loop().time() - start < 5


async def test_a_webhook_that_is_not_reachable_fails_the_review(connect: Connect) -> None:
    with pytest.raises(EngineUnavailable):
        await connect(f"http://127.0.0.1:{free_port()}/").review(PASSAGE)
    with deaf_address() as url, pytest.raises(EngineUnavailable):
        await connect(url, budget=Budget(0.2, 0.5)).review(PASSAGE)


async def test_after_five_failures_it_is_left_alone_and_that_is_said(server: ModeratorServer, connect: Connect) -> None:
    now = 0.0
    breaker = Breaker("the moderation webhook", clock=lambda: now)
    webhook = connect(server.at("127.0.0.1"), breaker=breaker, budget=Budget(0.5, 2.0, attempts=1))
    server.always = Answer(500)
    for _ in range(6):
        with pytest.raises(EngineUnavailable):
            await webhook.review(PASSAGE)
    assert len(server.requests) == 5
    assert webhook.notices() == ("moderation: the webhook failed several times and is left alone for a while",)
    now, server.always = 31.0, None
    assert await webhook.review(PASSAGE) == THREAT
    assert webhook.notices() == ()


async def test_a_text_that_it_declines_says_nothing_about_the_next(server: ModeratorServer, connect: Connect) -> None:
    webhook = connect(server.at("127.0.0.1"))
    server.faults.extend([Answer(413)] * 6)
    for _ in range(6):
        with pytest.raises(EngineUnavailable):
            await webhook.review(PASSAGE)
    assert await webhook.review(PASSAGE) == THREAT


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    with ModeratorServer("broccoli", certificate) as server:
        with pytest.raises(EngineUnavailable):
            await connect(server.at("127.0.0.1")).review(PASSAGE)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert await connect(server.at("127.0.0.1")).review(PASSAGE) == THREAT
