"""LibreTranslate over real HTTP, against a server of the project's own."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest

from src.adapters.translators.libretranslate import LibreTranslator
from src.adapters.translators.remote import Budget
from src.domain.errors import EngineUnavailable, TranslationUnavailable, UnsupportedLanguage
from src.domain.speech import Wording
from tests.providers.libretranslate_server import LibreTranslateServer
from tests.providers.provider_server import Answer, as_json

KEY = "libre-key-of-the-test"
BUDGET = Budget(connect_seconds=6, total_seconds=6)


@pytest.fixture
def server() -> Iterator[LibreTranslateServer]:
    with LibreTranslateServer(KEY) as running:
        yield running


@pytest.fixture
async def libre(server: LibreTranslateServer) -> AsyncIterator[LibreTranslator]:
    engine = await asyncio.to_thread(LibreTranslator.connect, server.url, KEY, BUDGET)
    server.requests.clear()
    yield engine
    await engine.close()


async def test_the_pairs_are_the_servers(libre: LibreTranslator) -> None:
    languages = ("en", "fr", "pt", "zh")
    assert set(libre.routes) == {(a, b) for a in languages for b in languages if a != b}


async def test_a_message_is_one_request(server: LibreTranslateServer, libre: LibreTranslator) -> None:
    result = await libre.translate(("hello", "you"), "en", "pt")
    assert (result.texts, result.engine, result.route) == (("pt-BR:hello", "pt-BR:you"), "libretranslate", ("en", "pt"))
    assert len(server.requests) == 1
    assert (await libre.translate(("hello",), "pt", "zh")).texts == ("zh-Hans:hello",)


async def test_the_servers_own_variants_are_named(libre: LibreTranslator) -> None:
    assert (await libre.translate(("hello",), "en", "pt")).target_variant == "pt-BR"
    assert (await libre.translate(("hello",), "en", "fr")).target_variant is None
    assert libre.unused(Wording("pt-BR", context="At home."), "pt") == ("context",)
    assert libre.unused(Wording("pt-PT"), "pt") == ("target_variant",)


async def test_a_pair_that_it_does_not_have(server: LibreTranslateServer, libre: LibreTranslator) -> None:
    with pytest.raises(UnsupportedLanguage):
        await libre.translate(("hello",), "en", "de")
    assert server.requests == []


@pytest.mark.parametrize("fault", [Answer(429), Answer(reset=True)], ids=str)
async def test_what_passes_is_tried_again(server: LibreTranslateServer, libre: LibreTranslator, fault: Answer) -> None:
    server.faults.append(fault)
    assert (await libre.translate(("hello",), "en", "fr")).texts == ("fr:hello",)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"error": "no"}, 403),
        as_json({"error": "no"}, 400),
        Answer(200, b"<html>"),
        as_json({"translatedText": "one"}),
        as_json({"translatedText": ["one", "two"]}),
        as_json([]),
    ],
    ids=["403", "400", "html", "bare", "count", "list"],
)
async def test_what_is_no_translation_is_none(
    server: LibreTranslateServer, libre: LibreTranslator, caplog: pytest.LogCaptureFixture, answer: Answer
) -> None:
    caplog.set_level(logging.DEBUG)
    server.always = answer
    said_words = "".join(("unspeak", "able"))  # a traceback quotes the lines of this file
    with pytest.raises(TranslationUnavailable) as caught:
        await libre.translate((said_words,), "en", "fr")
    assert len(server.requests) == 1
    said = caplog.text + "".join(traceback.format_exception(caught.value))
    assert KEY not in said
    assert said_words not in said


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b"?"), as_json({"a": 1}), Answer(reset=True)], ids=str)
def test_a_server_that_does_not_tell_its_languages(server: LibreTranslateServer, answer: Answer) -> None:
    server.always = answer
    with pytest.raises(EngineUnavailable, match="LIBRETRANSLATE_URL"):
        LibreTranslator.connect(server.url, None, BUDGET)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(EngineUnavailable, match="LIBRETRANSLATE_URL"):
        LibreTranslator.connect("http://127.0.0.1:9", None, BUDGET)
