"""DeepL over real HTTP, against a server that behaves as DeepL documents, and fails as it documents too."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product

import httpx
import pytest

from src.adapters.translators.deepl import FREE_URL, PRO_URL, DeepLTranslator, host_of
from src.adapters.translators.remote import BreakerState, Budget
from src.domain.errors import TranslationUnavailable
from src.domain.languages import LANGUAGES
from src.domain.speech import Formality, Wording
from src.services.translation import TextTranslation
from tests.fakes.fake_stores import DictCache
from tests.providers.deepl_server import FORMAL, DeepLServer
from tests.providers.provider_server import Answer, as_json
from tests.support.waiting import until

TEXTS = ("Good morning.", "The train is late.", "See you soon.")
BUDGET = Budget(connect_seconds=6, total_seconds=6)


@pytest.fixture
def server() -> Iterator[DeepLServer]:
    with DeepLServer() as running:
        yield running


@pytest.fixture
async def deepl(server: DeepLServer) -> AsyncIterator[DeepLTranslator]:
    engine = translator(server)
    yield engine
    await engine.close()


def translator(server: DeepLServer, budget: Budget = BUDGET) -> DeepLTranslator:
    return DeepLTranslator(server.key, url=server.url, budget=budget)


async def test_a_message_is_one_request_with_its_context_and_the_key_in_the_header(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    result = await deepl.translate(TEXTS, "en", "fr")
    assert result.texts == tuple(f"FR:{text}" for text in TEXTS)
    assert (result.engine, result.route, result.degraded) == ("deepl", ("en", "fr"), ())
    (request,) = server.requests
    assert request.headers["Authorization"] == f"DeepL-Auth-Key {server.key}"
    assert request.json == {"text": [*TEXTS], "source_lang": "EN", "target_lang": "FR", "context": " ".join(TEXTS)}
    assert server.key.encode() not in request.body
    assert server.key not in request.path


async def test_every_pair_of_the_services_languages_works(server: DeepLServer, deepl: DeepLTranslator) -> None:
    assert len(deepl.routes) == len(LANGUAGES) * (len(LANGUAGES) - 1) == 240
    for source, target in deepl.routes:
        result = await deepl.translate(("x",), source, target)
        assert result.texts[0].endswith(":x")
    assert {str(body["source_lang"]) for body in server.bodies} == {code.upper() for code in LANGUAGES}
    targets = {str(body["target_lang"]) for body in server.bodies}
    assert {"EN-US", "PT-BR", "ZH-HANS"} < targets
    assert not {"EN", "PT", "ZH"} & targets


def test_the_key_tells_the_host() -> None:
    assert host_of("abc:fx") == FREE_URL == "https://api-free.deepl.com"
    assert host_of("abc") == PRO_URL == "https://api.deepl.com"


@pytest.mark.parametrize(
    ("target", "asked", "sent", "answered"),
    [
        ("en", None, "EN-US", "en-US"),
        ("en", "en-GB", "EN-GB", "en-GB"),
        ("pt", None, "PT-BR", "pt-BR"),
        ("pt", "pt-PT", "PT-PT", "pt-PT"),
        ("zh", None, "ZH-HANS", "zh-Hans"),
        ("zh", "zh-Hant", "ZH-HANT", "zh-Hant"),
        ("es", None, "ES", None),
        ("es", "es-ES", "ES", "es-ES"),
        ("es", "es-419", "ES-419", "es-419"),
        ("fr", None, "FR", None),
    ],
)
async def test_a_callers_variant_is_the_target(
    server: DeepLServer, deepl: DeepLTranslator, target: str, asked: str | None, sent: str, answered: str | None
) -> None:
    result = await deepl.translate(("x",), "de", target, Wording(target_variant=asked))
    assert (server.bodies[0]["target_lang"], result.target_variant) == (sent, answered)
    assert (result.route, result.degraded) == (("de", target), ())


async def test_a_callers_wording_reaches_deepl(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.glossary = ("g2", "EN", "FR")
    wording = Wording(formality=Formality.MORE, glossary_id="g2", context="Two friends meet.")
    await deepl.translate(("Hello.",), "en", "fr", wording)
    await deepl.translate(TEXTS, "en", "fr", replace(wording, formality=Formality.DEFAULT))
    common = {"source_lang": "EN", "target_lang": "FR", "glossary_id": "g2"}
    assert server.bodies == [
        {"text": ["Hello."], "formality": "prefer_more", "context": "Two friends meet.", **common},
        {"text": [*TEXTS], "formality": "default", "context": f"Two friends meet. {' '.join(TEXTS)}", **common},
    ]


async def test_formality_is_never_an_error_and_never_lost_in_silence(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    service = TextTranslation((deepl,), DictCache())
    for target, formality in product(LANGUAGES.keys() - {"cs"}, Formality):
        result = await service.translate(("x",), "cs", target, Wording(formality=formality))
        (sent,) = {str(server.bodies[-1]["target_lang"])}
        can = sent in FORMAL or formality is Formality.DEFAULT
        assert bool(result.degraded) != can, (target, formality)


async def test_a_glossary_that_a_caller_invents_costs_one_request_more(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    server.glossary = ("g1", "EN", "FR")
    invented = [await deepl.translate(("x",), "en", "fr", Wording(glossary_id="none")) for _ in range(2)]
    right = await deepl.translate(("x",), "en", "fr", Wording(glossary_id="g1"))
    assert [each.degraded for each in invented] == [
        ("Translated without the glossary: it does not serve en to fr.",)
    ] * 2
    assert right.degraded == ()
    assert [body.get("glossary_id") for body in server.bodies] == ["none", None, None, "g1"]


async def test_a_glossary_serves_its_pair_and_others_say_that_they_have_none(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    server.glossary = ("g1", "EN", "FR")
    wording = Wording(glossary_id="g1")
    served = await deepl.translate(("x",), "en", "fr", wording)
    without = [await deepl.translate(("x",), "en", "de", wording) for _ in range(2)]
    assert served.degraded == ()
    assert [(each.texts, each.degraded) for each in without] == [
        (("DE:x",), ("Translated without the glossary: it does not serve en to de.",))
    ] * 2
    assert [body.get("glossary_id") for body in server.bodies] == ["g1", "g1", None, None]


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured(server: DeepLServer, deepl: DeepLTranslator, *, as_date: bool) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=2.2), usegmt=True)
    server.faults.append(Answer(429, headers={"Retry-After": moment if as_date else "1"}))
    await deepl.translate(TEXTS, "en", "es")
    assert server.requests[1].at - server.requests[0].at >= (0.9 if not as_date else 0.8)


async def test_a_retry_after_beyond_the_budget_is_not_waited_for(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.faults.append(Answer(429, headers={"Retry-After": "60"}))
    with pytest.raises(TranslationUnavailable) as caught:
        await deepl.translate(TEXTS, "en", "es")
    assert caught.value.retry_after_seconds == 60
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 456])
async def test_a_refused_key_and_a_used_up_quota_are_not_tried_again(
    server: DeepLServer, deepl: DeepLTranslator, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    server.always = as_json({"message": "no"}, status)
    with pytest.raises(TranslationUnavailable, match=str(status)):
        await deepl.translate(TEXTS, "en", "es")
    assert len(server.requests) == 1
    alerts = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [("ALERT" in record.getMessage(), str(status) in record.getMessage()) for record in alerts] == [(True, True)]


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"translation": []}),
        as_json({"translations": [{"text": "only one"}]}),
        as_json({"translations": [{"text": 1}, {"text": 2}, {"text": 3}]}),
        Answer(301, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
        Answer(414),
    ],
    ids=["keys", "count", "types", "redirect", "414"],
)
async def test_nonsense_and_refusals_are_no_translation(
    server: DeepLServer, deepl: DeepLTranslator, answer: Answer
) -> None:
    server.always = answer
    with pytest.raises(TranslationUnavailable):
        await deepl.translate(TEXTS, "en", "es")
    assert len(server.requests) == 1


async def test_what_is_too_large_is_split_and_stays_aligned(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.max_bytes = 1600
    texts = tuple(f"Sentence number {number} of the message." for number in range(30))
    result = await deepl.translate(texts, "en", "de")
    assert result.texts == tuple(f"DE:{text}" for text in texts)
    assert len(server.requests) > 3
    assert {body["context"] for body in server.bodies} == {" ".join(texts)}


async def test_a_single_text_that_is_too_large_is_cut_between_sentences(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    server.max_bytes = 90
    result = await deepl.translate(("First we go by train. Then we walk. At last we arrive there, tired.",), "en", "it")
    assert result.texts == ("IT:First we go by train. Then we walk. IT:At last we arrive there, tired.",)
    assert len(server.requests) == 3


async def test_a_word_that_is_too_large_ends_it(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.always = Answer(413)
    with pytest.raises(TranslationUnavailable):
        await deepl.translate(("a b c", "d"), "en", "it")
    assert len(server.requests) <= 5


async def test_at_most_fifty_texts_in_one_request(server: DeepLServer, deepl: DeepLTranslator) -> None:
    texts = tuple(str(number) for number in range(120))
    result = await deepl.translate(texts, "en", "it")
    assert result.texts == tuple(f"IT:{text}" for text in texts)
    assert [len(str(body["text"]).split(",")) for body in server.bodies] == [50, 50, 20]


async def test_refusals_of_one_request_do_not_open_the_breaker(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.always = Answer(400)
    for _ in range(7):
        with pytest.raises(TranslationUnavailable, match="400"):
            await deepl.translate(TEXTS, "en", "es")
    assert deepl.breaker.state is BreakerState.CLOSED


async def test_cancelling_ends_the_request_at_once(server: DeepLServer, deepl: DeepLTranslator) -> None:
    server.always = Answer(200, b"x" * 4_000_000, delay=0.4)
    task = asyncio.create_task(deepl.translate(TEXTS, "en", "es"))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.dropped > 0)
    assert (server.dropped, len(server.requests)) == (1, 1)
    assert deepl.breaker.state is BreakerState.CLOSED


async def test_a_closed_engine_has_closed_its_client(server: DeepLServer) -> None:
    deepl = translator(server)
    await deepl.translate(("x",), "en", "es")
    await deepl.close()
    with pytest.raises(RuntimeError, match="closed"):
        await deepl.translate(("x",), "en", "es")


async def test_what_is_kept_belongs_to_its_message(server: DeepLServer, deepl: DeepLTranslator) -> None:
    cache = DictCache()
    service = TextTranslation((deepl,), cache)
    for texts in (("Hello.",), ("Hello.",), ("Hello.", "You are late.")):
        await service.translate(texts, "en", "pt")
    assert [body["text"] for body in server.bodies] == [["Hello."], ["Hello.", "You are late."]]
    assert not any("Hello" in key or server.key in key for key in cache.values)


async def test_an_answer_without_the_glossary_says_so_when_it_is_kept_too(
    server: DeepLServer, deepl: DeepLTranslator
) -> None:
    service, wording = TextTranslation((deepl,), DictCache()), Wording(glossary_id="g1")
    results = [await service.translate(("x",), "en", "de", wording) for _ in range(2)]
    assert [result.degraded for result in results] == [
        ("Translated without the glossary: it does not serve en to de.",)
    ] * 2
    assert len(server.requests) == 2


def test_the_server_refuses_what_deepl_refuses(server: DeepLServer) -> None:
    """The stand-in itself: a key in the body, no key, or a wrong one."""
    body = {"text": ["x"], "source_lang": "EN", "target_lang": "FR"}
    right = {"Authorization": f"DeepL-Auth-Key {server.key}"}

    def status(json: dict[str, object], headers: dict[str, str]) -> int:
        return httpx.post(f"{server.url}/v2/translate", json=json, headers=headers).status_code

    assert status({**body}, right) == 200
    assert status({**body, "auth_key": server.key}, {}) == 403
    assert status({**body, "auth_key": server.key}, right) == 400
    assert status({**body}, {"Authorization": "DeepL-Auth-Key wrong"}) == 403
    assert status({**body, "target_lang": "EN"}, right) == 400
    assert status({**body, "formality": "more", "target_lang": "HU"}, right) == 400
