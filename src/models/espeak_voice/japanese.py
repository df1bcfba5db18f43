"""Japanese in kana, as it is read: pyopenjtalk knows kanji with okurigana, particles and counters."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

_BREATH = 30
"""Kana: espeak-ng loses what comes after some 66 of them without a pause, so one is made between words."""
_LONGEST_WORD = 60
_JOINED = ("助詞", "助動詞")
"""Particles and auxiliaries belong to the word before them."""
_LETTER_NAMES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        """エー ビー シー ディー イー エフ ジー エイチ アイ ジェー ケー エル エム エヌ オー ピー キュー アール エス
        ティー ユー ブイ ダブリュー エックス ワイ ズィー""".split(),  # noqa: SIM905 - words read better than strings
        strict=True,
    )
)
"""pyopenjtalk reads words and BBC, but no letter that stands alone."""
_UNKNOWN = "フィラー"
"""What pyopenjtalk calls a word in Latin letters that it does not know, and would spell."""
_NAME = re.compile(r"(?![A-Z]+$)[A-Za-z]{2,}")
_PAUSES = "、。，．！？!?,.;:；："


def kana(text: str) -> str:
    """What is read of a text, with its pauses. Letters that are not Japanese stay as they are."""
    # Reads a dictionary of 100 MB, for Japanese alone.
    import pyopenjtalk  # noqa: PLC0415

    words = pyopenjtalk.run_frontend(text)
    return "".join(_with_breaths((_read(word), word["pos"] not in _JOINED) for word in words))


def _read(word: Mapping[str, Any]) -> str:
    written, read = unicodedata.normalize("NFKC", word["string"]), str(word["pron"]).replace("’", "")
    if word["pos"] == _UNKNOWN and re.fullmatch(_NAME, written):
        return str(_transliterator()(written.lower()))
    if written in _PAUSES:
        return written
    if read in _PAUSES:
        read = written if written.isalnum() else ""
    return "".join(_LETTER_NAMES.get(letter, letter) for letter in unicodedata.normalize("NFKC", read).lower())


@cache
def _transliterator() -> Any:
    """From a word in Latin letters to katakana."""
    import e2k  # noqa: PLC0415 - reads a model of 4 MB, for Japanese alone

    return e2k.C2K(max_len=_LONGEST_WORD)


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
