"""How long a text takes to say, at least: what has less sound was not said, or not to its end."""

import unicodedata

_FASTEST = {"CJK": 12.0, "HANGUL": 14.0, "HIRAGANA": 22.0, "KATAKANA": 22.0}
_FASTEST_LETTERS = 34.0
"""Characters in a second: about twice what voices say, so that a false alarm is rare."""


def least_seconds(sentence: str) -> float:
    """Seconds below which a sentence of `spoken` was cut. 0 for what is so short that nothing can be told."""
    seconds = sum(1 / _FASTEST.get(_script(letter), _FASTEST_LETTERS) for letter in sentence if letter.isalpha())
    return seconds if seconds > 0.1 else min(seconds, 0.02)


def _script(letter: str) -> str:
    return "" if letter.isascii() else unicodedata.name(letter, "").split(maxsplit=1)[0]
