"""Japanese as it is read, in kana or in IPA: pyopenjtalk knows kanji with okurigana, particles and counters."""

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
_MARKS = str.maketrans("、。，．！？；：", ",.,.!?;:")


def _row(consonant: str, vowels: str = "a i ɯ e o") -> list[str]:
    return [consonant + vowel for vowel in vowels.split()]


def _sounds() -> dict[str, str]:
    """Each mora in IPA, as the network learned it."""
    rows = {
        "アイウエオ": _row(""),
        "ァィゥェォ": _row(""),
        "カキクケコ": ["ka", "kʲi", "kɯ", "ke", "ko"],
        "ガギグゲゴ": ["ɡa", "ɡʲi", "ɡɯ", "ɡe", "ɡo"],
        "サシスセソ": ["sa", "ɕi", "sɨ", "se", "so"],
        "ザジズゼゾ": ["ʣa", "ʥi", "zɨ", "ʣe", "ʣo"],
        "タチツテト": ["ta", "ʨi", "ʦɨ", "te", "to"],
        "ダヂヅデド": ["da", "ʥi", "zɨ", "de", "do"],
        "ナニヌネノ": ["na", "ɲi", "nɯ", "ne", "no"],
        "ハヒフヘホ": ["ha", "çi", "ɸɯ", "he", "ho"],
        "バビブベボ": ["ba", "bʲi", "bɯ", "be", "bo"],
        "パピプペポ": ["pa", "pʲi", "pɯ", "pe", "po"],
        "マミムメモ": ["ma", "mʲi", "mɯ", "me", "mo"],
        "ヤユヨャュョ": ["ja", "jɯ", "jo", "ja", "jɯ", "jo"],
        "ラリルレロ": ["ɾa", "ɾʲi", "ɾɯ", "ɾe", "ɾo"],
        "ワヮヰヱヲヴ": ["βa", "βa", "i", "e", "o", "vɯ"],
        "ーッン": ["ː", "ʔ", "ɴ"],
    }
    sounds = {kana: sound for row, values in rows.items() for kana, sound in zip(row, values, strict=True)}
    for first, consonant in _PALATAL.items():
        sounds |= {first + small: consonant + vowel for small, vowel in zip("ャュョェ", "aɨoe", strict=True)}
    for first, consonant in _ROUNDED.items():
        sounds |= {first + small: consonant + vowel for small, vowel in zip("ァィェォ", "aieo", strict=True)}
    return sounds | {
        "イェ": "je",
        "ティ": "tʲi",
        "ディ": "dʲi",
        "トゥ": "tɯ",
        "ドゥ": "dɯ",
        "ツィ": "ʦʲi",
        "フィ": "ɸʲi",
    }


_PALATAL = dict(
    zip("キギシジチヂテデニヒビピフミリ", "kʲ ɡʲ ɕ ʥ ʨ ʥ tʲ dʲ ɲ ç bʲ pʲ ɸʲ mʲ ɾʲ".split(), strict=True)  # noqa: SIM905
)
_ROUNDED = {"ウ": "β", "ク": "kᵝ", "グ": "ɡᵝ", "ツ": "ʦ", "フ": "ɸ", "ヴ": "v"}
_SOUNDS = _sounds()
_MORA = re.compile("|".join(sorted(map(re.escape, _SOUNDS), key=len, reverse=True)))


def kana(text: str) -> str:
    """What is read of a text, with its pauses. Letters that are not Japanese stay as they are."""
    return "".join(_with_breaths(_words(text)))


def japanese_ipa(text: str) -> str:
    """IPA of the words, with spaces and pauses, as Kokoro-82M learned it: the rules are those of misaki."""
    said = ((word.translate(_MARKS) if word in _PAUSES else f" {_ipa(word)}") for word, _ in _words(text))
    return "".join(said).strip()


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Each word in kana, and whether it begins something new; pauses are words too."""
    # Reads a dictionary of 100 MB, for Japanese alone.
    import pyopenjtalk  # noqa: PLC0415

    return ((_read(word), word["pos"] not in _JOINED) for word in pyopenjtalk.run_frontend(text))


def _ipa(kana: str) -> str:
    said = ""
    moras = _MORA.findall(kana)
    for mora, following in zip(moras, [*moras[1:], ""], strict=True):
        said += _nasal(_SOUNDS.get(following, "")) if mora == "ン" else _SOUNDS.get(mora, "")
    return said


def _nasal(following: str) -> str:
    """ン before the sounds that follow."""
    kinds = {"m": ("m", "p", "b"), "ŋ": ("k", "ɡ"), "ɲ": ("ɲ", "ʨ", "ʥ"), "n": ("n", "t", "d", "ɾ", "z")}
    return next((sign for sign, firsts in kinds.items() if following.startswith(firsts)), "ɴ")


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
