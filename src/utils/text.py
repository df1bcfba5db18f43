"""Plain text helpers."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, in order, without surrounding white space and without empty ones."""
    return tuple(sentence for part in _SENTENCE_END.split(text) if (sentence := part.strip()))
