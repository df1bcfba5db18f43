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
    cents: dict[str, tuple[str, ...]]
    plain_space: bool = False
    hours: tuple[str, ...] = ()
    hour_feminine: bool = False
    feminine: frozenset[str] = field(default=frozenset())
    of: str = ""
    mixed_half: str = ""
    score: str = ""
    one_and_half: str = ""
    emergency: str = ""
    counted: str = ""
    before: dict[str, dict[str, str]] = field(default_factory=dict)
    thousand_letters: dict[str, str] = field(default_factory=dict)
    ordinal_behind: dict[str, str] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    queens: str = ""
    nouns: dict[str, str] = field(default_factory=dict)

    def cents_of(self, currency: str) -> tuple[str, ...]:
        return self.cents.get(currency, self.cents[""])


@cache
def vocabulary(language: str) -> Vocabulary:
    """`language`: one of the service's codes."""
    table = dict(_tables()[language])
    names = [name for name in table if name.startswith("cents")]
    cents = {name.removeprefix("cents").removeprefix("_"): tuple(table.pop(name).split("|")) for name in names}
    table["hours"] = tuple(filter(None, table.get("hours", "").split("|")))
    table["feminine"] = frozenset(table.get("feminine", "").split())
    table["fractions"] = tuple(table["fractions"])
    return Vocabulary(cents=cents, **table)


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
