"""Texts in the alphabet of the voice network: coqui-tts's cleaners, and what they lack before and after them."""

import importlib.util
import logging
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from anyascii import anyascii

from src.models.xtts.numbers import rewritten, words

_APOSTROPHES = frozenset("’‘‛ʼ＇`´′")
_QUOTES = frozenset('"“”„‟«»‹›「」『』《》〈〉〝〞〟＂″')
_FULL_WIDTH_MARKS = frozenset("，！？：；（）．")
_MARKS_OF_EMOJI = frozenset("\u20e3\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_UNSAID = frozenset("™®©℠")


def readable(text: str, language: str) -> str:
    """`text` in plain characters, with numbers and signs that can be said. It may be longer than it was.

    Pictures, control characters and quotes go; every letter stays.
    """
    plain = "".join(_plain(character, language) for character in unicodedata.normalize("NFC", text))
    if language == "tr":  # Python's lower() knows no dotless i
        plain = plain.replace("İ", "i").replace("I", "ı")
    return " ".join(rewritten(plain, language).split())


def _plain(character: str, language: str) -> str:
    """What a reader sees in it; nothing for what is not read."""
    if character.isascii() and character.isalnum():
        return character
    if character in _APOSTROPHES:
        return "'"
    if character in _QUOTES or character in _MARKS_OF_EMOJI:
        return ""
    if character in "[]" or character in _UNSAID:  # brackets are the tokenizer's own
        return " "
    if "！" <= character <= "～" and character not in _FULL_WIDTH_MARKS:
        return unicodedata.normalize("NFKC", character)
    return _of_category(character, language)


def _of_category(character: str, language: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("No", "Nl") or (category == "So" and character != "°"):
        meant = unicodedata.normalize("NFKC", character).replace("\u2044", "/")
        return f" {meant} " if meant != character else " "
    if category == "Cf":
        return character if language == "hi" and character in "\u200c\u200d" else ""
    if category[0] == "C":
        return " "
    return {"٫": ".", "٬": ","}.get(character, character)


class Cleaner:
    """`vocabulary`: the tokens of the network; those of one character are its alphabet."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._alphabet = frozenset(token for token in vocabulary if len(token) == 1)
        self._stock = _stock_cleaners()

    def clean(self, text: str, language: str) -> str:
        """A `readable` text as the network was taught to see it: lower case, romanised where it learned that.

        Letters that are not in the alphabet are transliterated. Empty when nothing is left to say.
        """
        lower = text.lower()
        cleaned = (
            self._romaji.romaji(lower).lower() if language == "ja" else self._stock.preprocess_text(lower, language)
        )
        known = self._in_alphabet(cleaned)
        return " ".join(known.split()) if any(character.isalnum() for character in known) else ""

    @cached_property
    def _romaji(self) -> Any:
        """As coqui-tts has it, but for letters that it does not know: they stay, instead of becoming `?`."""
        import cutlet  # noqa: PLC0415 - reads a dictionary of 250 MB, for Japanese alone

        return cutlet.Cutlet(ensure_ascii=False)

    def _in_alphabet(self, text: str) -> str:
        """Marks on a letter follow it: they are transliterated with it, or left out where the network knows it bare."""
        known: list[str] = []
        foreign = False  # whether the letter before was transliterated
        for character in text:
            mark = unicodedata.category(character)[0] == "M"
            if character in self._alphabet or character.isspace():
                known.append(character)
            elif not mark or foreign:
                known.append(self._transliterated(character))
            foreign = foreign if mark else character not in self._alphabet
        return "".join(known)

    def _transliterated(self, character: str) -> str:
        if character.lower() in self._alphabet:
            return character.lower()
        if character == "¡":  # not the mark at the end of a sentence that it resembles
            return ""
        letters = "".join(each for each in anyascii(character).lower() if each in self._alphabet or each == " ")
        return letters or ("" if character.isalnum() or unicodedata.category(character)[0] == "M" else " ")


def _stock_cleaners() -> Any:
    """coqui-tts's tokenizer without a vocabulary, from a copy of its module whose numbers cannot fail."""
    spec = importlib.util.find_spec("TTS.tts.layers.xtts.tokenizer")
    if spec is None or spec.loader is None:
        raise ImportError("coqui-tts has no tokenizer")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logging.getLogger("TTS.tts.layers.xtts.zh_num2words").setLevel(logging.WARNING)  # it logs texts for debugging
    vars(module).update(num2words=words)
    return module.VoiceBpeTokenizer()
