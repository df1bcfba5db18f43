"""Plain text helpers."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")
_WORD_END = re.compile(r"\s+|(?<=[、，,])")
UNSPACED = frozenset({"zh", "ja"})
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
    return ("" if language in UNSPACED else " ").join(pieces)


def agreement(text: str, heard: str) -> float:
    """How much of a text was heard, 0 to 1: one less the character error rate, over letters and digits alone.

    1 for a text without letters and digits, of which nothing can be heard.
    """
    wanted, found = _characters(text), _characters(heard)
    return max(0.0, 1.0 - edits(wanted, found) / len(wanted)) if wanted else 1.0


def _characters(text: str) -> str:
    """Letters, digits and the marks that belong to them, in one case and one way of writing each."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LNM")


def edits(wanted: str, found: str) -> int:
    """Levenshtein distance, a row at a time: 5000 characters against as many take a tenth of a second."""
    letters = np.array([ord(character) for character in found], dtype=np.int32)
    steps = np.arange(len(found) + 1)
    row = steps
    for count, character in enumerate(wanted, start=1):
        replaced = row[:-1] + (letters != ord(character))
        best = np.concatenate(([count], np.minimum(replaced, row[1:] + 1)))
        row = np.minimum.accumulate(best - steps) + steps  # insertions: each step to the right costs one
    return int(row[-1])
