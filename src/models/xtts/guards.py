"""Against babble: how long a text may take to say, and how to see that the network no longer says it."""

from collections.abc import Sequence

CODES_PER_TOKEN = 12
"""0.56 s for a text token, which is one letter or more: several times what slow speech takes."""
SPARE_CODES = 32
_TAIL = 40
"""Codes, 1.9 s."""
_FEW = 6


def max_codes(text_tokens: int, most: int) -> int:
    """Codes after which a text of that many tokens is cut off, at most `most`."""
    return min(most, SPARE_CODES + CODES_PER_TOKEN * text_tokens)


def babbles(codes: Sequence[int], stop_code: int) -> bool:
    """Whether a sentence was cut off instead of ending by itself, or ended in a sound held or repeated for 1.9 s."""
    if not codes or codes[-1] != stop_code:
        return True
    tail = codes[:-1][-_TAIL:]
    return len(tail) == _TAIL and len(set(tail)) <= _FEW
