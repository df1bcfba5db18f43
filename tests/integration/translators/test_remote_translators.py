"""What DeepL, Google and LibreTranslate have in common: attempts, budgets of time, refusals, and silence in logs."""

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from src.adapters.translators.deepl import DeepLTranslator
from src.adapters.translators.google import GoogleTranslator
from src.adapters.translators.libretranslate import LibreTranslator
from src.adapters.translators.remote import Breaker, Budget, ProviderFailed, RemoteCalls
from src.domain.errors import TranslationUnavailable, UnsupportedLanguage
from tests.providers.deepl_server import DeepLServer
from tests.providers.google_server import GoogleServer
from tests.providers.libretranslate_server import LibreTranslateServer
from tests.providers.provider_server import Answer, ProviderServer, as_json, deaf_address

BUDGET = Budget(connect_seconds=6, total_seconds=6)
SHORT = Budget(connect_seconds=0.5, total_seconds=1.2)
KEY = "key-of-the-test:fx"
Engine = DeepLTranslator | GoogleTranslator | LibreTranslator


@dataclass
class Provider:
    server: ProviderServer

    async def engine(self, budget: Budget = BUDGET) -> Engine:
        if isinstance(self.server, DeepLServer):
            return DeepLTranslator(KEY, url=self.server.url, budget=budget)
        if isinstance(self.server, GoogleServer):
            return GoogleTranslator(f"{self.server.url}/m", budget=budget)
        made = await asyncio.to_thread(LibreTranslator.connect, self.server.url, KEY, budget)
        self.server.requests.clear()
        return made


@pytest.fixture(params=["deepl", "google", "libretranslate"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    server: ProviderServer
    if request.param == "deepl":
        server = DeepLServer()
        server.key = KEY
    else:
        server = GoogleServer() if request.param == "google" else LibreTranslateServer(KEY)
    with server:
        yield Provider(server)


@pytest.fixture
async def engine(provider: Provider) -> AsyncIterator[Engine]:
    made = await provider.engine()
    yield made
    await made.close()


@pytest.mark.parametrize("fault", [Answer(429), Answer(503), Answer(reset=True)], ids=str)
async def test_what_passes_is_tried_again(provider: Provider, engine: Engine, fault: Answer) -> None:
    provider.server.faults.append(fault)
    (text,) = (await engine.translate(("hello",), "en", "fr")).texts
    assert text.lower() == "fr:hello"
    assert len(provider.server.requests) == 2
    assert provider.server.requests[0].body == provider.server.requests[1].body


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"error": "no"}, 400),
        as_json({"error": "no"}, 403),
        Answer(404),
        Answer(200, b"<html>Before you continue</html>"),
        as_json([1, 2]),
    ],
    ids=["400", "403", "404", "html", "list"],
)
async def test_a_refusal_and_nonsense_are_no_translation_and_are_not_tried_again(
    provider: Provider, engine: Engine, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the key nor a text is in logs and exceptions."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")  # quiet in the service
    provider.server.always = answer
    said_words = "".join(("unspeak", "able"))  # a traceback quotes the lines of this file
    with pytest.raises(TranslationUnavailable) as caught:
        await engine.translate((said_words,), "en", "fr")
    assert len(provider.server.requests) == 1
    said = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "httpx" in said or "urllib3" in said
    assert KEY.removesuffix(":fx") not in said
    assert said_words not in said


@pytest.mark.parametrize("answer", [Answer(delay=1000), Answer(200, b"{" * 1000, drip=1)], ids=["silent", "dripping"])
async def test_all_attempts_together_keep_to_the_budget(provider: Provider, answer: Answer) -> None:
    engine = await provider.engine(SHORT)
    provider.server.always = answer
    with pytest.raises(TranslationUnavailable, match="in time"):
        await engine.translate(tuple("abcdef"), "en", "fr")
    await engine.close()
    assert not any(thread.name.startswith("google") for thread in threading.enumerate())


@pytest.mark.parametrize("name", ["deepl", "google"])
async def test_connecting_has_a_limit_of_its_own(name: str) -> None:
    budget = Budget(connect_seconds=0.3, total_seconds=1000, attempts=1)
    with deaf_address() as url:
        engine: Engine = DeepLTranslator(KEY, url=url, budget=budget)
        if name == "google":
            engine = GoogleTranslator(url, budget=budget)
        with pytest.raises(TranslationUnavailable):
            await engine.translate(("hello",), "en", "es")
        await engine.close()


async def test_waiting_requests_do_not_hold_up_the_event_loop(provider: Provider, engine: Engine) -> None:
    provider.server.faults.extend([Answer(503), Answer(delay=0.3, status=503)])
    task = asyncio.create_task(engine.translate(("hello",), "en", "fr"))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert (await task).texts[0].lower() == "fr:hello"
    assert turns > 3


async def test_a_language_that_the_provider_has_not_is_not_asked_for(provider: Provider, engine: Engine) -> None:
    with pytest.raises(UnsupportedLanguage):
        await engine.translate(("x",), "en", "sv")
    assert provider.server.requests == []


async def test_an_attempt_that_hangs_is_given_up_for_another() -> None:
    begun = 0

    async def attempt() -> str:
        nonlocal begun
        begun += 1
        if begun == 1:
            await asyncio.Event().wait()
        return "said"

    calls = RemoteCalls("a-name", Budget(total_seconds=0.2), Breaker("a-name"))
    assert await calls.run(attempt, asyncio.get_running_loop().time() + 60) == "said"
    assert begun == 2


async def test_pauses_between_attempts_grow_and_are_random() -> None:
    drawn: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    async def fail() -> None:
        raise ProviderFailed("status 503", retryable=True)

    calls = RemoteCalls("a-name", BUDGET, Breaker("a-name"), jitter)
    with pytest.raises(TranslationUnavailable, match="503"):
        await calls.run(fail, calls.deadline())
    assert drawn == [(0.125, 0.25), (0.25, 0.5)]
