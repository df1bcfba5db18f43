"""Plain text helpers."""

import re
from collections.abc import Iterable

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_WORD_END = re.compile(r"\s+|(?<=[、，,])")
_UNSPACED = frozenset({"zh", "ja"})
"""Languages whose sentences stand without spaces between them."""


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, in order, without surrounding white space and without empty ones."""
    return tuple(sentence for part in _SENTENCE_END.split(text) if (sentence := part.strip()))


def halves(text: str) -> tuple[str, str] | None:
    """A text in two, cut at the sentence end nearest to its middle, else at a word's. None: there is no such place."""
    for ends in (_SENTENCE_END, _WORD_END):
        cuts = [match.end() for match in ends.finditer(text)]
        for cut in sorted(cuts, key=lambda cut: abs(cut - len(text) / 2)):
            first, second = text[:cut].strip(), text[cut:].strip()
            if first and second:
                return first, second
    return None


def joined(pieces: Iterable[str], language: str) -> str:
    """Pieces of one text of that language put together again."""
    return ("" if language in _UNSPACED else " ").join(pieces)
