"""LibreTranslate over real HTTP, against a server of the project's own."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from src.adapters.translators.libretranslate import LibreTranslator
from src.adapters.translators.remote import Budget
from src.domain.errors import EngineUnavailable, TranslationUnavailable
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


@pytest.mark.parametrize(
    "answer",
    [as_json({"translatedText": "one"}), as_json({"translatedText": ["one", "two"]})],
    ids=["bare", "count"],
)
async def test_what_is_no_translation_is_none(
    server: LibreTranslateServer, libre: LibreTranslator, answer: Answer
) -> None:
    server.always = answer
    with pytest.raises(TranslationUnavailable):
        await libre.translate(("hello",), "en", "fr")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b"?"), as_json({"a": 1}), Answer(reset=True)], ids=str)
def test_a_server_that_does_not_tell_its_languages(server: LibreTranslateServer, answer: Answer) -> None:
    server.always = answer
    with pytest.raises(EngineUnavailable, match="LIBRETRANSLATE_URL"):
        LibreTranslator.connect(server.url, None, BUDGET)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(EngineUnavailable, match="LIBRETRANSLATE_URL"):
        LibreTranslator.connect("http://127.0.0.1:9", None, BUDGET)
