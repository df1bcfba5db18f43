"""deep-translator over real HTTP, against a page of the project's own."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import deep_translator.google as library
import pytest
import requests

from src.adapters.translators.google import GoogleTranslator
from src.adapters.translators.remote import Budget
from src.domain.errors import TranslationUnavailable
from src.domain.languages import LANGUAGES
from src.domain.speech import Wording
from tests.providers.google_server import GoogleServer, page
from tests.providers.provider_server import Answer

TEXTS = ("Good morning.", "Fish & chips <today>", "Où est la gare ?")
BUDGET = Budget(connect_seconds=6, total_seconds=6)


@pytest.fixture
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as running:
        yield running


@pytest.fixture
async def google(server: GoogleServer) -> AsyncIterator[GoogleTranslator]:
    engine = GoogleTranslator(f"{server.url}/m", budget=BUDGET)
    yield engine
    await engine.close()


async def test_texts_come_back_in_order(server: GoogleServer, google: GoogleTranslator) -> None:
    texts = tuple(f"sentence {number}" for number in range(12))
    result = await google.translate(TEXTS + texts, "en", "fr")
    assert result.texts == tuple(f"fr:{text}" for text in TEXTS + texts)
    assert (result.engine, result.route, result.degraded) == ("google", ("en", "fr"), ())


async def test_every_pair_of_the_services_languages_works(server: GoogleServer, google: GoogleTranslator) -> None:
    assert len(google.routes) == len(LANGUAGES) * (len(LANGUAGES) - 1)
    await asyncio.gather(*(google.translate(("x",), "en", code) for code in LANGUAGES if code != "en"))
    await google.translate(("x",), "zh", "en")
    asked = [parse_qs(urlsplit(request.path).query) for request in server.requests]
    assert {query["tl"][0] for query in asked} == {code if code != "zh" else "zh-CN" for code in LANGUAGES}
    assert asked[-1]["sl"] == ["zh-CN"]


async def test_the_two_chinese_scripts(server: GoogleServer, google: GoogleTranslator) -> None:
    asked = [None, "zh-Hans", "zh-Hant"]
    results = [await google.translate(("x",), "en", "zh", Wording(target_variant=each)) for each in asked]
    assert [result.texts[0] for result in results] == ["zh-CN:x", "zh-CN:x", "zh-TW:x"]
    assert [result.target_variant for result in results] == ["zh-Hans", "zh-Hans", "zh-Hant"]
    assert google.unused(Wording("zh-Hant", glossary_id="g1"), "zh") == ("glossary_id",)
    assert google.unused(Wording("pt-PT"), "pt") == ("target_variant",)


async def test_a_page_in_chunks_and_compressed(server: GoogleServer, google: GoogleTranslator) -> None:
    packed = gzip.compress(page("être").body)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (packed[:9], packed[9:], b""))
    headers = {
        "Content-Type": "text/html; charset=UTF-8",
        "Content-Encoding": "gzip",
        "Transfer-Encoding": "chunked",
    }
    server.faults.append(Answer(200, chunks, headers))
    assert (await google.translate(("be",), "en", "fr")).texts == ("être",)


async def test_what_fails_ends_what_was_not_begun(server: GoogleServer, google: GoogleTranslator) -> None:
    server.always = Answer(404, delay=0.1)
    with pytest.raises(TranslationUnavailable):
        await google.translate(tuple("abcdefghijklmnop"), "en", "fr")
    assert len(server.requests) < 8


async def test_what_has_no_words_is_not_asked_for(server: GoogleServer, google: GoogleTranslator) -> None:
    result = await google.translate(("...", "", "yes"), "en", "fr")
    assert result.texts == ("...", "", "fr:yes")
    assert len(server.requests) == 1


async def test_a_text_that_is_the_same_in_both_languages(server: GoogleServer, google: GoogleTranslator) -> None:
    server.always = page("Paris")
    assert (await google.translate(("Paris",), "en", "fr")).texts == ("Paris",)


async def test_a_long_text_goes_in_pieces(server: GoogleServer, google: GoogleTranslator) -> None:
    text = "Это длинное предложение. " * 120
    result = await google.translate((text,), "ru", "en")
    pieces = result.texts[0].split("en:")[1:]
    assert len(pieces) == len(server.requests) == 2
    assert " ".join(piece.strip() for piece in pieces) == text.strip()


async def test_a_word_that_is_too_long_is_refused(server: GoogleServer, google: GoogleTranslator) -> None:
    with pytest.raises(TranslationUnavailable):
        await google.translate(("x" * 6000,), "en", "fr")
    assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [Answer(200, b"x" * (2**21 + 20_000))],
    ids=["huge"],
)
async def test_what_is_no_translation_is_none(server: GoogleServer, answer: Answer) -> None:
    google = GoogleTranslator(f"{server.url}/m", budget=Budget(0.5, 2.0, attempts=1))
    server.always = answer
    with pytest.raises(TranslationUnavailable):
        await google.translate(("hello",), "en", "fr")
    assert len(server.requests) == 1
    await google.close()


async def test_cancelling_returns_at_once(server: GoogleServer, google: GoogleTranslator) -> None:
    server.always = Answer(delay=0.8)
    task = asyncio.create_task(google.translate(tuple("abcdefgh"), "en", "fr"))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1.0)
    assert len(server.requests) < 8
    server.always = None
    assert (await google.translate(("hello",), "en", "fr")).texts == ("fr:hello",)


def test_the_library_itself_is_left_as_it_was(google: GoogleTranslator) -> None:
    assert library.requests is requests
    assert library.BASE_URLS["GOOGLE_TRANSLATE"] == "https://translate.google.com/m"
