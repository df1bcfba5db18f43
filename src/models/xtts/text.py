"""Texts cut to what XTTS can say in one breath: each language's limit of characters, and 400 tokens."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from src.models.xtts.cleaning import Cleaner
from src.utils.text import split_sentences

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
