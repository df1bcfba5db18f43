"""Texts in the alphabet of the voice network: coqui-tts's cleaners, and transliteration to what they leave."""

import logging
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from anyascii import anyascii

_TURKISH_LETTERS = str.maketrans("İI", "iı")
"""Python's lower() knows no dotless i."""


class Cleaner:
    """`vocabulary`: the tokens of the network; those of one character are its alphabet."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._alphabet = frozenset(token for token in vocabulary if len(token) == 1)
        self._stock = _stock_cleaners()

    def clean(self, text: str, language: str) -> str:
        """A text of `services.spoken_text` as the network was taught to see it: lower case, romanised where it learned
        that.

        Letters that are not in the alphabet are transliterated. Empty when nothing is left to say.
        """
        lower = (text.translate(_TURKISH_LETTERS) if language == "tr" else text).lower()
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
    """coqui-tts's tokenizer without a vocabulary."""
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer  # noqa: PLC0415 - importable once load_xtts has run

    logging.getLogger("TTS.tts.layers.xtts.zh_num2words").setLevel(logging.WARNING)  # it logs texts for debugging
    return VoiceBpeTokenizer()
