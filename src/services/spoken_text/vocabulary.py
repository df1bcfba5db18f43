"""What `vocabulary.toml` says of each language."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields are described in `vocabulary.toml`."""

    letters: str
    thousands: str
    point: str
    minus: str
    power: str
    to: str
    time: str
    hour: str
    fractions: tuple[str, ...]
    mixed: str
    over: str
    shop: str
    noun: str
    link: str
    hours_after: str
    hours_before: str
    signs: dict[str, str]
    short: dict[str, str]
    cents: dict[str, str]
    plain_space: bool = False
    hours: str = ""
    hour_feminine: bool = False
    feminine: frozenset[str] = field(default=frozenset())
    of: str = ""
    mixed_half: str = ""
    score: str = ""
    ratio: str = ""
    fold: str = ""
    one_and_half: str = ""
    emergency: str = ""
    per: str = ""
    date_behind: str = ""
    counted: str = ""
    number_behind: dict[str, str] = field(default_factory=dict)
    genitive: dict[str, str] = field(default_factory=dict)
    instrumental: dict[str, str] = field(default_factory=dict)
    accusative: tuple[str, str, str] = ("", "", "")
    compound: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    before: dict[str, dict[str, str]] = field(default_factory=dict)
    thousand_letters: dict[str, str] = field(default_factory=dict)
    ordinal_behind: dict[str, str] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    queens: str = ""
    adjectives: dict[str, dict[str, str]] = field(default_factory=dict)
    ordinal_endings: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, str] = field(default_factory=dict)
    nouns: dict[str, str] = field(default_factory=dict)


@cache
def vocabulary(language: str) -> Vocabulary:
    """`language`: one of the service's codes."""
    table = dict(_tables()[language])
    table["feminine"] = frozenset(table.get("feminine", "").split())
    table["fractions"] = tuple(table["fractions"])
    return Vocabulary(**table)


def shared(name: str) -> dict[str, str]:
    """A table for all languages."""
    return dict(_tables()[name])


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
