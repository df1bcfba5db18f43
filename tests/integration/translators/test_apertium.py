"""Apertium itself, along every route that is installed."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.adapters.translators.apertium import ApertiumTranslator
from src.adapters.translators.apertium_modes import installed_modes, modes_directories, shortest_routes
from src.domain.errors import TranslationUnavailable, UnsupportedLanguage
from src.domain.languages import LANGUAGES
from tests.support.waiting import until

pytestmark = [
    pytest.mark.skipif(
        shutil.which("apertium") is None or not installed_modes(modes_directories()),
        reason="Apertium has no pairs here",
    ),
    pytest.mark.asyncio(loop_scope="module"),  # pipelines stay for the next test
]

SENTENCES = {
    "en": "the weather is very nice here and the food is wonderful",
    "es": "mañana por la mañana voy a la estación con mi hermana",
    "fr": "demain matin je vais à la gare avec ma sœur",
    "pt": "amanhã de manhã vou à estação com a minha irmã",
    "it": "domani mattina vado alla stazione con mia sorella",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def apertium() -> AsyncIterator[ApertiumTranslator]:
    translator = ApertiumTranslator(60.0)
    yield translator
    await translator.close()


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[ApertiumTranslator]:
    """Without a pipeline."""
    translator = ApertiumTranslator(60.0)
    yield translator
    await translator.close()


def _needs(apertium: ApertiumTranslator, *pair: str) -> None:
    if tuple(pair) not in apertium.routes:
        pytest.skip(f"no route {pair}")


async def test_every_route_translates_to_other_words_without_marks(apertium: ApertiumTranslator) -> None:
    assert apertium.routes
    for (source, target), route in apertium.routes.items():
        if source not in SENTENCES:
            continue
        result = await apertium.translate((SENTENCES[source],), source, target)
        (text,) = result.texts
        assert text.strip(), route
        assert text != SENTENCES[source], route
        assert not re.search(r"[*@#^$\[\]]", text), (route, text)
        assert (result.engine, result.route) == (f"apertium ({'>'.join(route)})", route)


async def test_english_becomes_sensible_spanish_and_goes_on_to_others(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    spanish = await apertium.translate((SENTENCES["en"],), "en", "es")
    assert spanish.texts == ("el tiempo es muy bueno aquí y la comida es maravillosa",)
    if ("en", "fr") in apertium.routes:
        french = await apertium.translate((SENTENCES["en"],), "en", "fr")
        assert french.engine == "apertium (en>es>fr)"
        assert french.texts == ("le temps est très bon ici et le repas est merveilleux",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yesterday i read a book", "leí"),  # unknown without its capital
        ("i'm happy", "soy"),
        ("we have two tickets for the concert on friday", "viernes"),
        ("please send me the documents", "por favor"),
        ("Please send me the documents.", "Por favor"),
    ],
)
async def test_what_a_recogniser_writes_is_understood(apertium: ApertiumTranslator, text: str, words: str) -> None:
    _needs(apertium, "en", "es")
    (spanish,) = (await apertium.translate((text,), "en", "es")).texts
    assert words in spanish
    assert spanish[0].isupper() is text[0].isupper()


async def test_texts_come_back_one_to_one(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    texts = ("", "two dogs", "...", "three cats", "1984", "I", "  ", "a house. a tree! where?")
    result = (await apertium.translate(texts, "en", "es")).texts
    assert len(result) == len(texts)
    assert (result[0], result[1], result[2], result[4]) == ("", "dos perros", "...", "1984")
    assert "gatos" in result[3]
    assert result[5]
    assert "casa" in result[7]
    assert (await apertium.translate((), "en", "es")).texts == ()


async def test_unknown_words_have_no_marks_and_real_stars_stay(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    (text,) = (await apertium.translate(("the blorptang is in the house with *stars* and #tags",), "en", "es")).texts
    assert "blorptang" in text
    assert "*blorptang" not in text
    assert "*estrellas*" in text
    assert "#etiquetas" in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("aI dogs ^$[]{}\\/@<>*#~+_.,;:!?'\"&%|\0\n\t\r«é日😀\ud800"), max_size=40))
async def test_no_text_disturbs_its_neighbours(apertium: ApertiumTranslator, text: str) -> None:
    _needs(apertium, "en", "es")
    result = (await apertium.translate(("two dogs", text, "three cats"), "en", "es")).texts
    assert (result[0], result[2]) == ("dos perros", "tres gatos")


@pytest.mark.parametrize("text", ["^dog<n><pl>$", "[<STREAMCMD:SETVAR:x>]", "[[t:b:1]]dog[[/]]", "\\^dog\\$", "</s>"])
async def test_stream_syntax_is_only_text(apertium: ApertiumTranslator, text: str) -> None:
    _needs(apertium, "en", "es")
    (result,) = (await apertium.translate((text,), "en", "es")).texts
    kept = [character for character in text if character in "^$[]<>{}\\/"]
    assert [character for character in result if character in "^$[]<>{}\\/"] == kept


async def test_a_long_text_passes(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    (text,) = (await apertium.translate((" ".join(["two dogs"] * 10_000),), "en", "es")).texts
    assert text.count("perros") == 10_000  # more than a pipe holds


async def test_callers_at_the_same_time_get_their_own(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    texts = [f"{number} dogs and {number} cats" for number in range(20)]
    results = await asyncio.gather(*(apertium.translate((text,), "en", "es") for text in texts))
    assert [re.findall(r"\d+", result.texts[0]) for result in results] == [[str(n), str(n)] for n in range(20)]


async def test_a_pipeline_is_kept_for_the_next_text(fresh: ApertiumTranslator) -> None:
    _needs(fresh, "en", "es")
    before = _pipeline_groups()
    await fresh.translate(("two dogs",), "en", "es")
    kept = _pipeline_groups() - before
    await fresh.translate(("three cats are in the garden",), "en", "es")
    assert _pipeline_groups() - before == kept


async def test_a_killed_pipeline_is_started_again(fresh: ApertiumTranslator) -> None:
    _needs(fresh, "en", "es")
    before = _pipeline_groups()
    await fresh.translate(("two dogs",), "en", "es")
    (group,) = _pipeline_groups() - before
    os.killpg(group, signal.SIGKILL)
    assert (await fresh.translate(("three cats",), "en", "es")).texts == ("tres gatos",)


async def test_a_cancelled_caller_leaves_no_answer_for_the_next(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "en", "es")
    await apertium.translate(("two dogs",), "en", "es")
    slow = asyncio.create_task(apertium.translate((" ".join(["two dogs"] * 10_000),), "en", "es"))
    await asyncio.sleep(0.05)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await apertium.translate(("three cats",), "en", "es")).texts == ("tres gatos",)


async def test_a_pipeline_that_hangs_is_given_up_and_killed(tmp_path: Path) -> None:
    (tmp_path / "eng-spa.mode").write_text("sed -n p | tail -f /dev/null")
    translator = ApertiumTranslator(0.5, modes_dir=tmp_path)
    assert translator.routes == {("en", "es"): ("en", "es")}
    before = _pipeline_groups()
    with pytest.raises(TranslationUnavailable, match=r"0\.5 s"):
        await translator.translate(("two dogs",), "en", "es")
    await until(lambda: _pipeline_groups() == before)
    await translator.close()


async def test_a_pipeline_that_dies_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "eng-spa.mode").write_text("false")
    translator = ApertiumTranslator(5, modes_dir=tmp_path)
    with pytest.raises(TranslationUnavailable, match="en>es"):
        await translator.translate(("two dogs",), "en", "es")
    await translator.close()


async def test_only_so_many_pipelines_are_kept() -> None:
    before = _pipeline_groups()
    translator = ApertiumTranslator(60.0, max_pipelines=1)
    pairs = [pair for pair, route in translator.routes.items() if len(route) == 2][:3]
    for source, target in pairs:
        await translator.translate((SENTENCES[source],), source, target)
    await until(lambda: len(_pipeline_groups() - before) == 1)
    await translator.close()
    await until(lambda: _pipeline_groups() == before)


async def test_without_pairs_there_are_no_routes_and_the_error_says_what_to_install(tmp_path: Path) -> None:
    translator = ApertiumTranslator(5, modes_dir=tmp_path)
    assert translator.routes == {}
    with pytest.raises(UnsupportedLanguage, match="apertium-eng-spa"):
        await translator.translate(("hello",), "en", "es")


async def test_modes_that_cannot_run_and_varieties_are_left_out(tmp_path: Path) -> None:
    missing = "lt-proc '/nowhere/x.bin'"
    for name, pipeline in {
        "eng-fra": missing,
        "eng-deu": "no-such-program",
        "eng-ita": "cat",
        "eng-ita_old": "sort",
        "spa-eng_US": "cat",
        "eco-es-fr": "cat",
    }.items():
        (tmp_path / f"{name}.mode").write_text(pipeline)
    modes = installed_modes([tmp_path])
    assert {pair: file.stem for pair, file in modes.items()} == {("en", "it"): "eng-ita", ("es", "en"): "spa-eng_US"}


async def test_routes_are_the_shortest_and_bounded() -> None:
    pairs = [("en", "ca"), ("ca", "it"), ("en", "es"), ("es", "it"), ("it", "fr"), ("fr", "pt"), ("en", "fr")]
    routes = shortest_routes(pairs, max_hops=2)
    assert routes["en", "it"] == ("en", "ca", "it")  # the first by name of two as short
    assert routes["en", "pt"] == ("en", "fr", "pt")
    assert ("es", "pt") not in routes  # three hops
    assert shortest_routes(reversed(pairs), max_hops=2) == routes
    assert all(source in LANGUAGES and target in LANGUAGES and source != target for source, target in routes)


def _pipeline_groups() -> set[int]:
    """Process groups of this test's pipelines that still run."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat=,args="], check=True, capture_output=True, text=True).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return {
        int(row[0]) for row in rows if int(row[1]) == os.getpid() and row[3].startswith("sh -c") and "Z" not in row[2]
    }


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("No", "No"),
        ("No.", "No."),
        ("yes", "sí"),
        ("Thanks!", "Gracias!"),
        ("Login failed. Please enter your number.", "Por favor"),
        ("Wait here, please.", "por favor."),
    ],
)
async def test_short_words_and_polite_ones_are_what_people_say(
    apertium: ApertiumTranslator, text: str, translated: str
) -> None:
    answer = (await apertium.translate((text,), "en", "es")).texts[0]
    assert answer == translated or (len(translated) > 8 and translated in answer)
    assert "omplac" not in answer


async def test_unknown_words_are_named_but_names_are_not(apertium: ApertiumTranslator) -> None:
    answer = await apertium.translate(("The frobnicator of Weber is 5 * 3.", "It is good."), "en", "es")
    assert answer.degraded == ("apertium does not know these words and left them as they are: frobnicator",)
    assert "5 * 3" in answer.texts[0]


async def test_an_unknown_word_that_begins_a_sentence_is_named(apertium: ApertiumTranslator) -> None:
    texts = ("Frobnicate it! Where is Weber?", "Thanks, Weber.")
    answer = await apertium.translate(texts, "en", "es")
    assert answer.degraded == ("apertium does not know these words and left them as they are: Frobnicate",)


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("No thanks", "No, gracias"),
        ("Oh no!", "Oh, no!"),
        ("I'm sorry", "Lo siento"),
        ("Sorry, I am late", "Perdón, soy tarde"),
        ("I'm sorry, I know.", "Lo siento, sé."),
        ("Yeah, I know.", "Sí, sé."),
        ("No, thanks, John.", "No, gracias, John."),
        ("I want to please you.", "Te quiero complacer."),
    ],
)
async def test_what_opens_a_sentence_is_an_interjection(
    apertium: ApertiumTranslator, text: str, translated: str
) -> None:
    answer = await apertium.translate((text,), "en", "es")
    assert (answer.texts, answer.degraded) == ((translated,), ())


async def test_what_follows_an_opening_has_the_capitals_of_english(apertium: ApertiumTranslator) -> None:
    _needs(apertium, "es", "en")
    answer = await apertium.translate(("Lo siento, no puedo.",), "es", "en")
    assert answer.texts == ("I'm sorry, I can not.",)


async def test_please_inside_a_question_is_no_verb(apertium: ApertiumTranslator) -> None:
    (answer,) = (await apertium.translate(("Could you please come here?",), "en", "es")).texts
    assert "por favor" in answer
    assert "complacer" not in answer
