"""Sentences of challenges: how many there are, and that each is one that a recogniser's spelling does not change."""

import math
import re
from itertools import chain

import pytest

from src.domain.languages import LANGUAGES
from src.services.profiles.challenges import Grammar, load_grammars
from src.utils.words import word_error_rate

GRAMMARS = load_grammars()


@pytest.fixture(params=GRAMMARS)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def phrases(grammar: Grammar) -> tuple[tuple[str, ...], ...]:
    return grammar.who, grammar.does, grammar.when, grammar.where


def test_every_language_of_the_service_has_them() -> None:
    assert set(GRAMMARS) == set(LANGUAGES)


def test_there_are_a_million_and_more_of_each_language(language: str) -> None:
    assert GRAMMARS[language].count >= 2**20
    for listed in phrases(GRAMMARS[language]):
        assert len(set(listed)) == len(listed) >= 12
        assert all(phrase == phrase.strip() and phrase for phrase in listed)


def test_the_count_is_that_of_different_sentences() -> None:
    small = Grammar("{} and {}.", ("a", "b", "c"), ("x", "y {} z"), ("1", "2"), ("3",), " ")
    assert small.count == 3 * 2 * 2 * 2
    made = {small.make() for _ in range(2000)}
    assert len(made) == small.count
    assert "A x 1 and b y 3 z." in made


def test_they_have_no_numbers_and_no_signs_that_are_spelled_in_several_ways(language: str) -> None:
    for phrase in chain(*phrases(GRAMMARS[language])):
        assert not re.search(r"[0-9%&€$:;]", phrase)
        assert phrase.count("{}") <= 1


def test_equal_ones_are_rare(language: str) -> None:
    """2000 of 2^21 hold a pair of equals in about two of three runs, and more than ten of them never."""
    assert len({GRAMMARS[language].make() for _ in range(2000)}) > 1990


def test_each_phrase_comes_about_as_often(language: str) -> None:
    grammar = GRAMMARS[language]
    made = [grammar.make().casefold() for _ in range(1500)]
    for listed in (grammar.when, grammar.where):
        expected = len(made) / len(listed)
        for phrase in listed:
            assert sum(phrase.casefold() in sentence for sentence in made) > expected - 6 * math.sqrt(expected)


def test_another_spelling_of_the_same_words_is_no_mistake(language: str) -> None:
    for _ in range(20):
        sentence = GRAMMARS[language].make()
        bare = re.sub(r"[^\w\s'’-]", "", sentence)
        for spelled in (sentence.upper(), sentence.lower(), f"  {bare} ", f"„{sentence}!“"):
            if language in ("tr", "de") and spelled == sentence.upper():
                continue  # Python's capitals are not Turkish; and ß is asked for below
            assert word_error_rate(sentence, spelled, language) == 0.0


@pytest.mark.parametrize(
    ("language", "said", "heard", "errors"),
    [
        ("en", "My uncle plays the piano.", "my uncle plays the piano", 0.0),
        ("en", "My uncle plays the piano.", "my uncle place the piano now", 0.4),
        ("en", "My uncle plays the piano.", "", 1.0),
        ("fr", "L'étudiant lave les fenêtres.", "l’Etudiant lave les fenetres", 0.0),
        ("de", "Fußball", "FUSSBALL", 0.0),
        ("tr", "Arkadaşım ılık süt içiyor", "ARKADAŞIM ILIK SÜT İÇİYOR", 0.0),
        ("ar", "أخي يكتب رسالة", "اخي يكتب رساله", 0.0),
        ("ru", "Мой отец пьёт кофе", "мой отец пьет кофе.", 0.0),
        ("zh", "妈妈星期一写信", "媽媽星期一寫信。", 0.0),
        ("zh", "妈妈星期一写信", "爸爸星期一写信", 2 / 7),
        ("ja", "姉は駅で", "姉は 駅で。", 0.0),
        ("ko", "형은 주말에 책을", "형은주말에 책을.", 0.0),
        ("en", "...", "anything", 1.0),
    ],
)
def test_words_are_counted_as_the_language_writes_them(language: str, said: str, heard: str, errors: float) -> None:
    assert word_error_rate(said, heard, language) == pytest.approx(errors)
