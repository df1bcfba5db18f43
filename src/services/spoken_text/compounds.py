"""Numbers that belong to what is written behind them: `21-letni`, `5-ciu`, `21-jährig`, `18enne`, `5-ös`, `5'te`."""

import re
from collections.abc import Callable
from functools import partial

from src.services.spoken_text.numbers import NUMBER, first_part, ordinal, say
from src.services.spoken_text.vocabulary import vocabulary

_WORD = r"[^\W\d_A-ZÀ-ÞА-Я]{4,}"
"""A part of a word, and no ending."""


def say_compounds(text: str, language: str) -> str:
    """The first of a language's patterns behind a number that fits is said by what stands beside it."""
    for pattern, said in _RULES.get(language, ()):
        text = re.sub(rf"({NUMBER})(?:{pattern})", partial(_said, said=said), text)
    return text


def _said(match: re.Match[str], said: Callable[[str], str]) -> str:
    return said(match[1])


def _as(language: str, gender: str = "") -> Callable[[str], str]:
    return lambda number: say(number, language, gender)


def _first_part(language: str) -> Callable[[str], str]:
    return lambda number: first_part(int(number), language) if number.isdigit() else say(number, language)


def _german(gender: str) -> Callable[[str], str]:
    return lambda number: re.sub("^ein(?=(?:hundert|tausend)$)", "", say(number, "de", gender))


def _french(number: str) -> str:
    return say(number, "fr").removesuffix("e").replace("dix", "diz")


def _italian(number: str) -> str:
    said = say(number, "it")
    return said[:-1] + ("e" if said.endswith("é") else "")


def _hungarian(number: str) -> str:
    said = say(number, "hu")
    for word, before_ending in vocabulary("hu").compound.items():
        if said.endswith(word):
            return said.removesuffix(word) + before_ending
    return said


def _hungarian_ordinal(number: str) -> str:
    return ordinal(int(number), "hu") if number.isdigit() else say(number, "hu")


def _turkish(number: str) -> str:
    return re.sub("dört$", "dörd", say(number, "tr"))


_RULES: dict[str, tuple[tuple[str, Callable[[str], str]], ...]] = {
    "fr": (("(?=aines?\\b)", _french),),
    "es": (("(?=av[oa]s?\\b)", _as("es")),),
    "de": (("(?=er\\b)", _german("")), (f"(?=-[A-ZÄÖÜ][a-zäöüß])|-?(?={_WORD}|mal\\b)", _german("m"))),
    "it": (("(?=enn[ei]\\b|in[ae]\\b)", _italian),),
    "nl": ((f"-(?={_WORD}|tal\\b)", _as("nl")),),
    "pl": (
        ("-?(?:ciu|tu|stu|śmiu|miu|óch|e?ch)\\b", _as("pl", "mg")),
        (f"(?:-?cio\\s?|-)(?={_WORD})", _first_part("pl")),
    ),
    "cs": (
        ("-?(?=krát\\b)", _as("cs", "m")),
        ("-?(?:ti|mi|i)\\b", _as("cs", "mg")),
        (f"-?(?={_WORD})", _first_part("cs")),
    ),
    "ru": (
        ("-(?:у?х|[её]х|ти|ми|и)\\b", _as("ru", "mg")),
        ("-(?:мя|тью)\\b", _as("ru", "mi")),
        ("-ть\\b", _as("ru")),
        (f"-(?={_WORD})", _first_part("ru")),
    ),
    "hu": (
        ("-[aeoö]?dik", _hungarian_ordinal),
        ("-(?=[aeoö])", _hungarian),
        ("-(?=sz[eo]r|féle|személy|ágy|szob)", _as("hu", "m")),
        ("-(?=[^\\W\\d_])", _as("hu")),
    ),
    "tr": (
        ("'(?=[aeıioöuü])", _turkish),
        ("'(?=[^\\W\\d_])|(?=ş?[ae]r\\b)", _as("tr")),
    ),
}
