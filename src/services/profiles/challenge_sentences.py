"""Sentences that nobody knows before they are made: at least 2^20 in each language, all of them equally likely."""

import math
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path

from src.domain.languages import UNSPACED

_WORDS = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What sentences of a language are made of: see the comment in the file of words.

    `space` stands between the parts.
    """

    sentence: str
    who: tuple[str, ...]
    does: tuple[str, ...]
    when: tuple[str, ...]
    where: tuple[str, ...]
    space: str

    @property
    def count(self) -> int:
        """Of the sentences that it can make."""
        return math.prod((math.perm(len(self.who), 2), math.perm(len(self.does), 2), len(self.when), len(self.where)))

    def make(self) -> str:
        """One of them, by the system's cryptographic randomness."""
        one, other = _two(self.who)
        doing, doing_else = _two(self.does)
        clauses = (
            self._clause(one, doing, secrets.choice(self.when)),
            self._clause(other, doing_else, secrets.choice(self.where)),
        )
        sentence = self.sentence.format(*clauses)
        return sentence[0].upper() + sentence[1:]

    def _clause(self, who: str, does: str, circumstance: str) -> str:
        pattern = does if "{}" in does else f"{does}{self.space}{{}}"
        return f"{who}{self.space}{pattern.format(circumstance)}"


def load_grammars() -> dict[str, Grammar]:
    """By language."""
    parsed = tomllib.loads(_WORDS.read_text(encoding="utf-8"))
    return {
        language: Grammar(
            words["sentence"],
            _phrases(words["who"]),
            _phrases(words["does"]),
            _phrases(words["when"]),
            _phrases(words["where"]),
            space="" if language in UNSPACED else " ",
        )
        for language, words in parsed.items()
    }


def _phrases(listed: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in listed.split("|"))


def _two(choices: tuple[str, ...]) -> tuple[str, str]:
    """Different ones, in any order."""
    one = secrets.choice(choices)
    return one, secrets.choice([other for other in choices if other != one])
