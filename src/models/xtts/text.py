"""Texts cut to what XTTS can say in one breath: each language's limit of characters, and 400 tokens."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 400
_SENTENCE_ENDS = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
_CLAUSE_ENDS = re.compile(r"(?<=[,;:—])\s+|(?<=[、，；：])")
_WORD_ENDS = re.compile(r"\s+")


def split(text: str, limit: int) -> list[str]:
    """Pieces of `text` of at most `limit` characters: whole sentences together where they fit.

    A sentence that is longer by itself is cut after clauses, else between words, else between letters.
    """
    return [piece for piece in _pack(text.strip(), limit, (_SENTENCE_ENDS, _CLAUSE_ENDS, _WORD_ENDS)) if piece]


def _pack(text: str, limit: int, ends: tuple[re.Pattern[str], ...]) -> Iterator[str]:
    if len(text) <= limit:
        yield text
        return
    if not ends:
        yield from (text[start : start + limit] for start in range(0, len(text), limit))
        return
    held = ""
    for part in ends[0].split(text):
        joined = f"{held} {part}" if held else part
        if len(joined) <= limit:
            held = joined
            continue
        if held:
            yield held
        *whole, held = _pack(part, limit, ends[1:])
        yield from whole
    yield held


class Tokens:
    """Texts to token ids by coqui-tts's own tokenizer, `VoiceBpeTokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def sentences(self, texts: tuple[str, ...], language: str) -> list[Tensor]:
        """One int64 tensor [T], T at most 400, for each utterance. `language`: the service's code."""
        limit = self._tokenizer.char_limits[language]
        return [tokens for text in texts for piece in split(text, limit) for tokens in self._encode(piece, language)]

    def _encode(self, text: str, language: str) -> Iterator[Tensor]:
        """Cleaners make text longer (digits become words), so the halves of a text may be needed after all."""
        tokens = torch.tensor(self._tokenizer.encode(text.strip().lower(), lang=language), dtype=torch.long)
        if len(tokens) <= MAX_TOKENS:
            yield tokens
            return
        for piece in split(text, max(1, len(text) // 2)):
            yield from self._encode(piece, language)
