"""What is said of a text: a table of cases for each language, and what holds for any text at all."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.languages import LANGUAGES
from src.services.spoken_text import least_seconds, spoken

TABLE = Path(__file__).parents[2] / "data" / "spoken_text.tsv"


def cases() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    lines = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [
        (language, _unescaped(text), tuple(said.split("|")), tuple(_unescaped(" ".join(rest)).split()))
        for language, text, said, *rest in lines
    ]


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)


@pytest.mark.parametrize(("language", "text", "sentences", "unsaid"), cases())
def test_a_text_is_said_as_a_person_would(
    language: str, text: str, sentences: tuple[str, ...], unsaid: tuple[str, ...]
) -> None:
    said = spoken(text, language)
    assert said.sentences == sentences
    assert said.unsaid == unsaid


def test_each_language_has_twenty_cases() -> None:
    counted = Counter(language for language, *_ in cases())
    assert set(counted) == set(LANGUAGES)
    assert min(counted.values()) >= 20


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=st.one_of(st.text(max_size=60), st.text("0123456789.,-–%$€£½/:°C #&+@ aАא一ก", max_size=30)))
def test_any_text_becomes_letters_and_pauses_and_what_is_left_out_is_named(language: str, text: str) -> None:
    said = spoken(text, language)
    for sentence in said.sentences:
        assert not any(character.isdigit() and character.isascii() for character in sentence)
        assert {unicodedata.category(character)[0] for character in sentence} <= set("LMPZN")
        assert any(character.isalnum() for character in sentence)
    if any(character.isalpha() for character in text):
        assert said.sentences or said.unsaid


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["🎉 🎉", "***", "— … ?!", "\U000f0000", "\ud800", "“”"])
def test_a_text_without_anything_to_say_has_no_sentence(language: str, text: str) -> None:
    assert spoken(text, language).sentences == ()


@pytest.mark.parametrize("text", ["9", "1 ", "1.1,", "a-", "'", "1/2/", "A.", "1-", "€", "#", "http://", "@a."])
def test_a_long_text_of_one_kind_is_said_within_the_time_of_a_test(text: str) -> None:
    spoken(text * (5000 // len(text)), "en")


@pytest.fixture
def few_digits() -> Iterator[int]:
    """How many Python makes a number of here: the least that it can be told, for 4300."""
    usual, least = sys.get_int_max_str_digits(), sys.int_info.str_digits_check_threshold
    sys.set_int_max_str_digits(least)
    yield least
    sys.set_int_max_str_digits(usual)


@pytest.mark.parametrize("mark", ["", "th", "º", "%", "er", "-летний", "-letni", "-dik", "'e", " km"])
def test_more_digits_than_python_makes_a_number_of_are_said_one_by_one(few_digits: int, mark: str) -> None:
    for language in LANGUAGES:
        said = " ".join(spoken("1" * (few_digits + 20) + mark, language).sentences)
        assert said.count(spoken("1", language).sentences[0]) > 0.9 * few_digits


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_has_a_number_and_a_mark_is_said(language: str) -> None:
    """Ordinals that num2words lacks, magnitudes and powers of any size."""
    marks = (
        "{}. {}. x",
        "{}º",
        "{}th",
        "{}-5. May",
        "{} mln €",
        "{}x",
        "{}⁶",
        "{}'7\"",
        "{}:2",
        "{}–{}",
        "{} l/100 km",
    )
    for number in (0, 1, 2, 10, 21, 99, 100, 101, 200, 1000, 1001, 2000, 12_000, 10**6, 10**9, 10**16):
        for text in marks:
            assert spoken(text.replace("{}", str(number)), language).sentences


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_takes_less_than_its_least_time(language: str) -> None:
    for case, _, sentences, _ in cases():
        if case == language:
            assert all(0 < least_seconds(sentence) < 0.12 * len(sentence) for sentence in sentences)
    assert least_seconds("a" * 340) == pytest.approx(10)
