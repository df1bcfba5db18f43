"""Texts made to be slow to look at, in every language."""

import random
import time

import pytest
from glin_profanity.data.dictionary import dictionary

from src.adapters.moderation.matching import Matcher
from src.adapters.moderation.words import WordLists, parse
from src.domain.languages import LANGUAGES
from tests.support.reporting import either, say

pytestmark = pytest.mark.timeout(600)

LENGTH = either(10_000, 1_000)
"""Characters: 10,000 are twice the longest text of a `clone`."""
TEXTS = either(10_000, 300)


def hostile(seeds: list[str], length: int, chance: random.Random) -> dict[str, str]:
    """Texts that keep the matcher walking: of listed words, of their beginnings, of one of them, of one letter."""
    repeated = max(seeds, key=len)
    begun = [seed[: max(1, len(seed) - 1)] for seed in seeds]
    return {
        "listed words": " ".join(chance.choices(seeds, k=length))[:length],
        "their beginnings": " ".join(chance.choices(begun, k=length))[:length],
        "beginnings in a row": "".join(chance.choices(begun, k=length))[:length],
        "the longest again and again": (f"{repeated} " * length)[:length],
        "one letter": repeated[0] * length,
        "one word": "".join(chance.choices(repeated.replace(" ", "") or "a", k=length)),
        "marks": (repeated[0] + "\u0301\u200b") * (length // 3),
        "ligatures": "\ufdfa" * (length // 18),  # each becomes 18 characters
    }


def test_a_long_text_is_looked_at_soon_whatever_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    lists, chance = WordLists.load(), random.Random(1)
    slowest: list[tuple[float, float, str, str]] = []
    for language in LANGUAGES:
        matcher, seeds = lists._lists[language], seeds_of(language)
        for name, text in hostile(seeds, LENGTH, chance).items():
            seconds = timed(matcher, text)
            ratio = timed(matcher, text * 4) / max(seconds, 1e-4)
            slowest.append((seconds, ratio, language, name))
    slowest.sort(reverse=True)
    say(capsys, f"{len(slowest)} hostile texts of {LENGTH} characters in {len(LANGUAGES)} languages")
    for seconds, ratio, language, name in slowest[:5]:
        say(
            capsys, f"  {language} {name}: {seconds * 1000:.0f} ms, four times the text takes {ratio:.1f} times as long"
        )
    assert all(ratio < 16 for seconds, ratio, *_ in slowest if seconds > 0.02)


def test_no_text_and_no_list_makes_it_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """Random characters of every plane as text and as list: an answer, or a ValueError that names the line."""
    lists, chance = WordLists.load(), random.Random(2)
    refused: list[str] = []
    for _ in range(TEXTS):
        characters = [
            chr(chance.choice((chance.randrange(128), chance.randrange(0x3000), chance.randrange(0x110000))))
            for _ in range(chance.randrange(60))
        ]
        text = "".join(characters)
        language = chance.choice(list(LANGUAGES))
        lists._lists[language].find(text)
        try:
            Matcher(language, parse(text)).find(text)
        except ValueError as error:
            refused.append(str(error))
    assert all(reason.startswith("line ") for reason in refused)
    say(capsys, f"{TEXTS} random texts looked at, and as many read as lists: {len(refused)} refused, none failed")


def seeds_of(language: str) -> list[str]:
    """The entries of the published list."""
    return list(dictionary.get_words(LANGUAGES[language].name.lower()))


def timed(matcher: Matcher, text: str) -> float:
    start = time.process_time()
    matcher.find(text)
    return time.process_time() - start
