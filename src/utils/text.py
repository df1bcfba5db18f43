"""Plain text helpers."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from sentencex import segment

_WORD_END = re.compile(r"\s+|(?<=[、，,])")

_ABBREVIATIONS = frozenset(
    """cf d.w.z dott dr dra godz m mlle mm mme mr mrs ms nr op p pág prof sig sr sra srta st str ul vs
    г им стр т.е ул د""".split()  # noqa: SIM905 - a list of words reads better than a list of strings
)
"""Never the last word of a sentence, and not known to sentencex in each language."""

_OF_LANGUAGE = {
    "de": {"abb", "abs", "dipl", "fam", "ing", "jh"},
    "en": {"gen", "gov", "mt", "rev"},
    "ar": {"أ", "د"},
    "es": {"a", "aprox", "d", "dña"},
    "fr": {"bd"},
    "hu": {"szt"},
    "it": {"a", "d", "s"},
    "pl": {"al", "inż", "pl", "św"},
    "pt": {"a", "av", "d", "profa", "séc", "tel"},
    "ru": {"пл", "св"},
    "tr": {"sn"},
}
"""Words or units in another language, and units behind a number in their own."""

_GERMAN_DETERMINERS = frozenset("am beim dem den der des die das im vom zum zur diese dieser dieses".split())  # noqa: SIM905
"""Between them and a noun a number with a point is an ordinal."""


def split_sentences(text: str, language: str) -> tuple[str, ...]:
    """The sentences of a text, in order, without surrounding white space and without empty ones."""
    return tuple(sentence for piece in _sentences(text, language) if (sentence := piece.strip()))


def _sentences(text: str, language: str) -> Iterator[str]:
    """Pieces that are `text` when put together, each a sentence with the white space behind it."""
    held = ""
    for line in text.splitlines(keepends=True):
        for piece in segment(language, line):
            if held and not held.endswith("\n") and not _begins_a_sentence(piece, held, language):
                held += piece
                continue
            if held:
                yield held
            held = piece
    if held:
        yield held


def _begins_a_sentence(piece: str, before: str, language: str) -> bool:
    """sentencex cuts behind ordinals ("5. napján") and some abbreviations: no sentence begins with a small letter."""
    *_, earlier, last = ("", "", *before.split())
    short = last.rstrip(".")
    ordinals = re.fullmatch(r"\d{1,2}\.?[-–/]\d{1,2}", short)
    abbreviated = last.endswith(".") and (
        short.lower() in _ABBREVIATIONS
        or (short.lower() in _OF_LANGUAGE.get(language, ()) and not earlier[-1:].isdigit())
        or (piece[:1].isdigit() and short.replace(".", "").isalpha() and len(short) <= 4)
        or (short.isdigit() and (piece[:1].isdigit() or earlier in ("", "und", "oder") or earlier[-1] == ","))
        or (short.isdigit() and earlier.lower() in _GERMAN_DETERMINERS)
        or (ordinals and ("." in short or earlier.lower() in _GERMAN_DETERMINERS))
        or re.fullmatch("[IVX]+|Av" if language in ("hu", "tr") else "[A-Z]", short)
    )
    return not (abbreviated or piece[:1].islower() or re.match(r"と|-\w", piece))


def halves(text: str, language: str) -> tuple[str, str] | None:
    """A text in two, cut at the sentence end nearest to its middle, else at a word's. None: there is no such place."""
    sentences = list(accumulate(map(len, _sentences(text, language))))
    words = [match.end() for match in _WORD_END.finditer(text)]
    for cuts in (sentences, words):
        for cut in sorted(cuts, key=lambda cut: abs(cut - len(text) / 2)):
            first, second = text[:cut].strip(), text[cut:].strip()
            if first and second:
                return first, second
    return None


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
