"""The translation use case over fake engines."""

from dataclasses import dataclass, field

import pytest

from src.domain.errors import EngineUnavailable, TranslationUnavailable, UnsupportedLanguage
from src.domain.identity import current_user
from src.domain.speech import AS_CONFIGURED, Formality, Translation, Wording
from src.services.translation import TextTranslation
from tests.fakes.fake_stores import DictCache
from tests.fakes.fakes import FakeTranslator

DOWN = TranslationUnavailable("down")


@dataclass
class Recording(FakeTranslator):
    """Remembers what it was asked; `answers` bends the number of texts that come back."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    lost: int = 0

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        self.asked.append(texts)
        answer = await super().translate(texts, source, target, wording)
        return Translation(answer.texts[self.lost :], f"{self.name} ({source}>{target})", (source, target))


async def test_a_text_in_its_own_language_is_left_alone() -> None:
    engine = Recording()
    result = await TextTranslation((engine,), DictCache()).translate(("hello", "you"), "hu", "hu")
    assert result == Translation(("hello", "you"), "none", ("hu",))
    assert engine.asked == []


async def test_the_first_engine_that_knows_the_pair_answers() -> None:
    first, second = Recording(name="first", pairs=(("fr", "en"),)), Recording(name="second")
    result = await TextTranslation((first, second), DictCache()).translate(("one", "two"), "en", "es")
    assert result == Translation(("eno", "owt"), "second (en>es)", ("en", "es"))
    assert first.asked == []


@pytest.mark.parametrize("error", [DOWN, EngineUnavailable("gone")])
async def test_the_next_engine_is_asked_and_the_answer_says_so(
    error: TranslationUnavailable | EngineUnavailable,
) -> None:
    first, second = Recording(name="first", error=error), Recording(name="second")
    result = await TextTranslation((first, second), DictCache()).translate(("one",), "en", "es")
    assert result.texts == ("eno",)
    assert result.degraded == ("The translator first did not answer.",)


async def test_an_answer_of_another_length_is_no_answer() -> None:
    first, second = Recording(name="first", lost=1), Recording(name="second")
    result = await TextTranslation((first, second), DictCache()).translate(("one", "two"), "en", "es")
    assert result.texts == ("eno", "owt")
    assert result.degraded


async def test_no_engine_answers() -> None:
    service = TextTranslation((Recording(name="first", error=DOWN), Recording(name="second", error=DOWN)), DictCache())
    with pytest.raises(TranslationUnavailable, match="first, second"):
        await service.translate(("one",), "en", "es")


async def test_no_engine_knows_the_pair() -> None:
    with pytest.raises(UnsupportedLanguage, match=r"en to hu.*apertium-"):
        await TextTranslation((Recording(),), DictCache()).translate(("one",), "en", "hu")


async def test_a_text_is_asked_for_once() -> None:
    engine = Recording()
    service = TextTranslation((engine,), DictCache())
    first = await service.translate(("one", "two", "one"), "en", "es")
    second = await service.translate(("two", "three", "one"), "en", "es")
    third = await service.translate(("three", "two"), "en", "es")
    assert first.texts == ("eno", "owt", "eno")
    assert second.texts == ("owt", "eerht", "eno")
    assert third == Translation(("eerht", "owt"), "fake-translator (en>es)", ("en", "es"))
    assert engine.asked == [("one", "two"), ("three",)]


async def test_what_is_kept_belongs_to_one_engine_and_pair() -> None:
    cache = DictCache()
    first, second = Recording(name="first"), Recording(name="second")
    await TextTranslation((first,), cache).translate(("one",), "en", "es")
    await TextTranslation((second,), cache).translate(("one",), "en", "es")
    await TextTranslation((first,), cache).translate(("one",), "en", "fr")
    assert (len(first.asked), len(second.asked)) == (2, 1)
    assert not any("one" in key for key in cache.values)


@pytest.mark.parametrize(
    "wording",
    [
        Wording(target_variant="es-419"),
        Wording(formality=Formality.MORE),
        Wording(glossary_id="g1"),
        Wording(glossary_id="g2"),
        Wording(context="At the station."),
    ],
)
async def test_what_is_kept_belongs_to_one_wording(wording: Wording) -> None:
    engine = Recording()
    service = TextTranslation((engine,), DictCache())
    for each in (AS_CONFIGURED, wording, Wording(glossary_id="g3"), wording, AS_CONFIGURED):
        await service.translate(("one",), "en", "es", each)
    assert len(engine.asked) == 3


@pytest.mark.parametrize("target", ["es", "en"])
async def test_what_an_engine_cannot_do_is_said_each_time(target: str) -> None:
    service = TextTranslation((Recording(name="plain"),), DictCache())
    asked = Wording("es-419", Formality.LESS, "g1", "At the station.")
    results = [await service.translate(("one",), "en", target, asked) for _ in range(2)]
    reason = "plain does not support it" if target == "es" else "the message is in the target language already"
    asked_for = ("regional variant es-419", "formality", "glossary", "context")
    assert [result.degraded for result in results] == [
        tuple(f"Translated without the {what}: {reason}." for what in asked_for)
    ] * 2


async def test_the_default_formality_asks_for_nothing() -> None:
    result = await TextTranslation((Recording(),), DictCache()).translate(
        ("one",), "en", "es", Wording(formality=Formality.DEFAULT)
    )
    assert result.degraded == ()


async def test_nobody_answers_and_the_first_to_be_back_is_named() -> None:
    waits = [None, 30.0, 12.5]
    engines = tuple(
        Recording(name=str(wait), error=TranslationUnavailable("down", retry_after_seconds=wait)) for wait in waits
    )
    with pytest.raises(TranslationUnavailable) as caught:
        await TextTranslation(engines, DictCache()).translate(("one",), "en", "es")
    assert caught.value.retry_after_seconds == 12.5


async def test_a_failure_is_not_kept() -> None:
    first, second, cache = Recording(name="first", error=DOWN), Recording(name="second"), DictCache()
    service = TextTranslation((first, second), cache)
    await service.translate(("one",), "en", "es")
    first.error = None
    recovered = await service.translate(("one",), "en", "es")
    assert (recovered.engine, recovered.degraded) == ("first (en>es)", ())


async def test_one_user_does_not_learn_from_the_time_of_an_answer_what_another_said() -> None:
    translator, cache = FakeTranslator(), DictCache()
    service = TextTranslation((translator,), cache)
    for user, calls in (("ann", 1), ("ann", 1), ("eve", 2)):
        current_user.set(user)
        await service.translate(("one",), "en", "es")
        assert translator.calls == calls, user


async def test_each_text_is_translated_from_its_own_language() -> None:
    engine = Recording(pairs=(("en", "es"), ("fr", "es")))
    texts, spoken = ("one", "hola", "deux", "two"), ("en", "es", "fr", "en")
    result = await TextTranslation((engine,), DictCache()).translate(texts, spoken, "es")
    assert result.texts == ("eno", "hola", "xued", "owt")
    assert engine.asked == [("one", "two"), ("deux",)]


@pytest.mark.parametrize(("spoken", "most"), [("en", "eno"), ("es", "one")])
async def test_a_part_that_no_engine_knows_stays_and_is_named(spoken: str, most: str) -> None:
    service = TextTranslation((Recording(pairs=(("en", "es"),)),), DictCache())
    result = await service.translate(("да", "one"), ("ru", spoken), "es")
    assert result.texts == ("да", most)
    assert result.degraded == ("The part in 'ru' was not translated: no engine knows ru to es.",)
    assert result.route[0] == spoken
    with pytest.raises(UnsupportedLanguage, match="ru to es"):
        await service.translate(("привет", "one"), ("ru", spoken), "es")


async def test_a_part_whose_engine_is_down_is_not_left_as_it_is() -> None:
    engines = (Recording(pairs=(("en", "es"),)), Recording(pairs=(("ru", "es"),), error=DOWN))
    with pytest.raises(TranslationUnavailable):
        await TextTranslation(engines, DictCache()).translate(("да", "one"), ("ru", "en"), "es")


@dataclass
class Saying(FakeTranslator):
    """Answers the same for every text."""

    answer: str = ""

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        return Translation((self.answer,) * len(texts), self.name, (source, target))


FAULTY = {
    "empty": " ",
    "no word": "…",
    "an error": "MYMEMORY WARNING: YOU USED ALL AVAILABLE FREE TRANSLATIONS FOR TODAY.",
    "a status": "Error 500 (Server Error)!!1",
    "markup": "<html><body>Buenos días</body></html>",
    "entities": "Me gusta el caf&eacute;",
    "long": "Buenos días a todos los que están aquí y también a los que no han podido venir. " * 12,
    "repeating": "sí, sí, " * 18,
    "a word five times": "hola hola hola hola hola",
    "a sentence four times": "Buenos días a todos. " * 4,
    "a query too long": "QUERY LENGTH LIMIT EXCEEDED. MAX ALLOWED QUERY : 500 CHARS",
    "no query": "NO QUERY SPECIFIED. EXAMPLE REQUEST: GET?Q=HELLO&LANGPAIR=EN|IT",
    "forbidden": "403 Forbidden",
    "timeout": "504 Gateway Timeout",
    "null": "null",
    "undefined": "undefined",
    "an object": "[object Object]",
    "a failure": "Translation failed. Please try again later.",
    "a key": "error: invalid key",
}


@pytest.mark.parametrize("answer", FAULTY.values(), ids=FAULTY.keys())
async def test_an_answer_that_is_no_translation_is_not_used(answer: str) -> None:
    texts = ("Good morning to all of you.",)
    odd, good = Saying(name="odd", answer=answer), Saying(name="good", answer="Buenos días a todos.")
    cache = DictCache()
    result = await TextTranslation((odd, good), cache).translate(texts, "en", "es")
    assert (result.texts, result.engine) == (("Buenos días a todos.",), "good")
    assert result.degraded == ("The answer of the translator odd was no translation and was not used.",)
    with pytest.raises(TranslationUnavailable):
        await TextTranslation((odd,), cache).translate(texts, "en", "es")


@pytest.mark.parametrize(
    ("text", "answer", "source", "target"),
    [
        ("Good morning to all of you, and to those " * 3, "Sí.", "en", "es"),
        ("大家早上好，今天我们要讨论的是明年的预算和计划", "Yes.", "zh", "en"),
        ("Buenos días a todos los que están aquí y a los demás.", "Access denied.", "es", "en"),
        ("Hola a todos.", "NO QUERY SPECIFIED", "es", "en"),
        ("Hola a todos, ¿qué tal?", "403 Forbidden", "es", "en"),
        ("Good morning to all of you.", "大家早上好。" * 4, "en", "zh"),
    ],
)
async def test_an_answer_out_of_proportion_or_a_provider_s_own_words_are_not_used(
    text: str, answer: str, source: str, target: str
) -> None:
    with pytest.raises(TranslationUnavailable):
        await TextTranslation((Saying(pairs=((source, target),), answer=answer),), DictCache()).translate(
            (text,), source, target
        )


async def test_a_text_that_came_back_unchanged_is_asked_of_the_next_and_else_said() -> None:
    text = "Come to the station tomorrow."
    same, good = Saying(name="same", answer=text), Saying(name="good", answer="Ven mañana a la estación.")
    cache = DictCache()
    result = await TextTranslation((same, good), cache).translate((text,), "en", "es")
    assert result.texts == ("Ven mañana a la estación.",)
    alone = await TextTranslation((same,), cache).translate((text,), "en", "es")
    assert alone.texts == (text,)
    assert alone.degraded == ("The translator same gave 1 of 1 sentences back unchanged.",)


@pytest.mark.parametrize(
    ("text", "answer", "source", "target"),
    [
        ("OK Google", "OK Google", "en", "es"),
        ("Hubo un error interno del servidor.", "There was an internal server error.", "es", "en"),
        ("Too many requests came in today.", "Hoy llegaron too many requests.", "en", "es"),
        ("ja, ja, ja, ja, ja, ja, ja", "ha, ha, ha, ha, ha, ha, ha", "es", "en"),
        ("会议", "The meeting of the board of directors", "zh", "en"),
        ("No", "No", "en", "es"),
        ("Acceso denegado.", "Access denied.", "es", "en"),
        ("Accès refusé.", "Access denied.", "fr", "en"),
        ("Доступ запрещён", "Access denied", "ru", "en"),
        ("访问被拒绝", "Access denied", "zh", "en"),
        ("Der Dienst ist vorübergehend nicht verfügbar.", "The service is temporarily unavailable.", "de", "en"),
        ("Hubo demasiadas solicitudes", "There were too many requests", "es", "en"),
        ("Acceso no autorizado", "Unauthorized access", "es", "en"),
        ("El límite de la tasa es el dos por ciento", "The rate limit is two percent", "es", "en"),
        ("Fehler 404", "Error 404", "de", "en"),
        ("404 no encontrado", "404 not found", "es", "en"),
        ("Nulo", "Null", "es", "en"),
        ("Fehler", "Error", "de", "es"),
        ("Un billón", "1000000000000", "es", "en"),
        ("Haha", "hahahaha", "en", "es"),
        ("Haha", "ha ha ha ha ha ha", "en", "es"),
        ("Nein, nein, nein, nein, nein!", "¡No, no, no, no, no!", "de", "es"),
        ("55555", "cinco cinco cinco cinco cinco", "en", "es"),
        ("I would like to know whether you are all here by now", "大家都到了吗", "en", "zh"),
        ("?!", "", "en", "es"),
    ],
)
async def test_an_unusual_translation_is_used(text: str, answer: str, source: str, target: str) -> None:
    result = await TextTranslation((Saying(pairs=((source, target),), answer=answer),), DictCache()).translate(
        (text,), source, target
    )
    assert (result.texts, result.degraded) == ((answer,), ())
