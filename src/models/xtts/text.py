"""Texts cut to what XTTS can say in one breath: each language's limit of characters, and 400 tokens."""

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any

import torch
from anyascii import anyascii
from torch import Tensor

from src.utils.text import split_sentences

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


MAX_TOKENS = 400
_CLAUSE_ENDS = re.compile(r"(?<=[,;:—،؛])\s+|(?<=[、，；：])\s*")
_WORD_ENDS = re.compile(r"\s+")


def split(text: str, limit: int, language: str) -> list[str]:
    """Pieces of `text` of at most `limit` characters: whole sentences together where they fit.

    A sentence that is longer by itself is cut after clauses, else between words, else between letters.
    """
    cuts = (partial(split_sentences, language=language), _CLAUSE_ENDS.split, _WORD_ENDS.split)
    return [piece for piece in _pack(text.strip(), limit, cuts) if piece]


def _pack(text: str, limit: int, cuts: tuple[Callable[[str], Iterable[str]], ...]) -> Iterator[str]:
    if len(text) <= limit:
        yield text
        return
    if not cuts:
        yield from (text[start : start + limit] for start in range(0, len(text), limit))
        return
    held = ""
    for part in filter(None, cuts[0](text)):
        joined = f"{held} {part}" if held else part
        if len(joined) <= limit:
            held = joined
            continue
        if held:
            yield held
        *whole, held = _pack(part, limit, cuts[1:])
        yield from whole
    yield held


class Tokens:
    """Texts to token ids with the vocabulary of coqui-tts's tokenizer, `VoiceBpeTokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cleaner = Cleaner(tokenizer.tokenizer.get_vocab())

    def sentences(self, texts: tuple[str, ...], language: str) -> list[Tensor]:
        """One int64 tensor [T], T at most 400, for each utterance of texts of `services.spoken_text`. `language`: the
        service's code.

        A text without a letter or a digit gives none.
        """
        limit = self._tokenizer.char_limits[language]
        pieces = (piece for text in texts for piece in split(text, limit, language))
        return [tokens for piece in pieces for tokens in self._encode(piece, language)]

    def _encode(self, text: str, language: str) -> Iterator[Tensor]:
        """Cleaners make text longer (digits become words), so the halves of a text may be needed after all."""
        cleaned = self._cleaner.clean(text, language)
        if not cleaned:
            return
        tag = "zh-cn" if language == "zh" else language
        # Not by the tokenizer's own `encode`, which logs texts that it finds too long.
        ids = self._tokenizer.tokenizer.encode(f"[{tag}]{cleaned}".replace(" ", "[SPACE]")).ids
        tokens = torch.tensor(ids, dtype=torch.long)
        if len(tokens) <= MAX_TOKENS:
            yield tokens
            return
        for piece in split(text, max(1, len(text) // 2), language):
            yield from self._encode(piece, language)
