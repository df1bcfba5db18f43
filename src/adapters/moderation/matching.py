"""Finding listed words in a text, by the rules of its script. Time grows with the length of the text, and no faster.

A text becomes a line of units. Where words stand apart a unit is a word, so that a listed word is not found inside of
another one. Chinese and Japanese are written without spaces: there a unit is a character.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from src.domain.moderation import Severity

UNSPACED = frozenset({"zh", "ja"})

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u0640\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
"""Format characters and the Arabic tatweel, which stretches a word."""
_ARABIC_VOWELS = re.compile("[\u064b-\u065f\u0670]")
_ARABIC_ALEF = re.compile("[أإآ]")
_ARABIC_ARTICLE = re.compile("(?:[وف]?[بكل]?ال|[وف]?لل)(?=.{3})")
"""The article, with the conjunctions and prepositions that are written as one with it."""
_KOREAN = """
이라도 이라고 에게서 으로 에서 에게 한테 까지 부터 처럼 보다 마다 조차 이나 이랑 이야 이냐 이다 라고
들 은 는 이 가 을 를 의 에 로 와 과 랑 도 만 아 야 님
"""
_KOREAN_PARTICLES = tuple(_KOREAN.split())
_KOREAN_PARTICLES_AT_ONCE = 3
_ALIKE = re.compile("(?P<latin>[0-9a-z])|(?P<katakana>[ァ-ヺー-ヿㇰ-ㇿ])")
"""Characters of unspaced text that make a word with others of their kind."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Of which kind a listed word is."""

    category: str
    severity: Severity


LONGEST_ENTRY = 40
"""Units."""

INNOCENT = None
"""In place of a Finding: what stands there is not to be found, nor what reaches out of it."""


def fold(text: str, language: str) -> str:
    """A text in one case and one way of writing. Marks over letters stay: in most languages they make other letters."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if language == "tr":
        text = text.replace("I", "ı").replace("İ", "i")
    text = unicodedata.normalize("NFKC", text.casefold()).replace("i\u0307", "i")
    if language == "ar":
        return _ARABIC_ALEF.sub("ا", _ARABIC_VOWELS.sub("", text))
    if language == "ru":
        return text.replace("ё", "е").replace("\u0301", "")  # both are written for learners, and left out by others
    return text


def units(text: str, language: str) -> tuple[str, ...]:
    """Of a text as it is."""
    folded = fold(text, language)
    return tuple(" ".join(folded.split()) if language in UNSPACED else _WORD.findall(folded))


@dataclass(slots=True)
class _Node:
    """Where a path of units has come to. `ends`: an entry ends here, with this finding or INNOCENT."""

    next: "dict[str, _Node]" = field(default_factory=dict)
    ends: bool = False
    finding: Finding | None = None


class Matcher:
    """Finds entries in texts of one language. `entries`: what was written in a list, and what finding it means."""

    def __init__(self, language: str, entries: Iterable[tuple[str, Finding | None]]) -> None:
        self._language = language
        self._root = _Node()
        self._forms: Callable[[str], tuple[str, ...]] = _FORMS.get(language, _as_it_is)
        for entry, finding in entries:
            self._add(units(entry, language), finding)

    def find(self, text: str) -> tuple[Finding, ...]:
        """The findings in a text, each once, in the order in which they first stand there."""
        line = units(text, self._language)
        hits: list[tuple[int, int, Finding]] = []
        innocent = [0] * (len(line) + 1)  # how far what is innocent reaches that begins here
        for start, end, finding in self._spans(line):
            if finding is INNOCENT:
                innocent[start] = max(innocent[start], end)
            else:
                hits.append((start, end, finding))
        return tuple(dict.fromkeys(found for start, end, found in hits if not _reached(start, end, innocent)))

    def _add(self, entry: tuple[str, ...], finding: Finding | None) -> None:
        node = self._root
        for unit in entry[:LONGEST_ENTRY]:
            node = node.next.setdefault(unit, _Node())
        if node is not self._root:
            node.ends, node.finding = True, finding  # of two the later one stands

    def _spans(self, line: tuple[str, ...]) -> Iterator[tuple[int, int, Finding | None]]:
        forms = [self._forms(unit) for unit in line]
        whole = _ends_of_words(line) if self._language in UNSPACED else [True] * (len(line) + 1)
        for start in range(len(line)):
            if not whole[start]:
                continue
            nodes = [self._root]
            for end in range(start, len(line)):
                nodes = [node.next[form] for node in nodes for form in forms[end] if form in node.next]
                if not nodes:
                    break
                if whole[end + 1]:
                    yield from ((start, end + 1, node.finding) for node in nodes if node.ends)


def _reached(start: int, end: int, innocent: list[int]) -> bool:
    """Whether something innocent overlaps this span, and is not just a part of it."""
    before = any(innocent[each] > start for each in range(max(0, start - LONGEST_ENTRY), start))
    return before or innocent[start] >= end or any(innocent[each] > end for each in range(start + 1, end))


def _ends_of_words(line: tuple[str, ...]) -> list[bool]:
    """Before each character of unspaced text, and after the last: whether an entry may begin or end there. It may not
    between two Latin letters, nor between two katakana.
    """
    kinds = [match.lastgroup if (match := _ALIKE.match(character)) else None for character in line]
    inside = [left is not None and left == right for left, right in pairwise(kinds)]
    return [True, *(not each for each in inside), True]


def _as_it_is(unit: str) -> tuple[str, ...]:
    return (unit,)


def _without_article(unit: str) -> tuple[str, ...]:
    """An Arabic word, and the same without what is written before it."""
    article = _ARABIC_ARTICLE.match(unit)
    return (unit, unit[article.end() :]) if article else (unit,)


def _without_particles(unit: str) -> tuple[str, ...]:
    """A Korean word, and the same with fewer of the particles that end it."""
    forms, latest = {unit: None}, {unit}
    for _ in range(_KOREAN_PARTICLES_AT_ONCE):
        latest = {
            form.removesuffix(particle)
            for form in latest
            for particle in _KOREAN_PARTICLES
            if form.endswith(particle) and len(form) > len(particle)
        }
        forms |= dict.fromkeys(latest)
    return tuple(forms)


_FORMS: dict[str, Callable[[str], tuple[str, ...]]] = {"ar": _without_article, "ko": _without_particles}
