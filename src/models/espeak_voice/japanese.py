"""Japanese in kana, as it is read: pyopenjtalk knows kanji with okurigana, particles and counters."""

from collections.abc import Iterator, Mapping
from typing import Any

_BREATH = 30
"""Kana: espeak-ng loses what comes after some 66 of them without a pause, so one is made between words."""
_LONGEST_WORD = 60
_JOINED = ("助詞", "助動詞")
"""Particles and auxiliaries belong to the word before them."""
_PAUSES = "、。，．！？!?,.;:；："


def kana(text: str) -> str:
    """What is read of a text, with its pauses. Letters that are not Japanese stay as they are."""
    # Reads a dictionary of 100 MB, for Japanese alone.
    import pyopenjtalk  # noqa: PLC0415

    words = pyopenjtalk.run_frontend(text)
    return "".join(_with_breaths((_read(word), word["pos"] not in _JOINED) for word in words))


def _read(word: Mapping[str, Any]) -> str:
    written, read = str(word["string"]), str(word["pron"]).replace("’", "")
    if written in _PAUSES:
        return written
    return "" if read in _PAUSES and not written.isalnum() else read if read not in _PAUSES else written


def _with_breaths(words: Iterator[tuple[str, bool]]) -> Iterator[str]:
    since = 0
    for word, begins in words:
        if word in _PAUSES:
            since = 0
        elif begins and since and since + len(word) > _BREATH:
            yield "、"
            since = 0
        for start in range(0, len(word), _LONGEST_WORD):
            yield ("、" if start else "") + word[start : start + _LONGEST_WORD]
        since += len(word)
