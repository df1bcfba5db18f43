"""How many words of a sentence were heard otherwise, whatever the recogniser's spelling."""

import re
import unicodedata

from src.domain.languages import UNSPACED
from src.utils.text import edits

_BY_CHARACTER = UNSPACED | {"ko"}
"""Languages that are compared by the character: they have no spaces, or recognisers set them at will."""

_SPELLINGS: dict[str, dict[int, int | None]] = {
    "tr": {ord("ı"): ord("i")},  # one letter in capitals, which lose the dot
    "ar": {ord("ى"): ord("ي"), ord("ة"): ord("ه"), ord("\N{ARABIC TATWEEL}"): None},
    "zh": dict(
        zip(
            map(ord, "媽鄰師醫農機學買麵報紙聽樂湯熱寫戶賣車彈鋼談氣場園廚裡裏邊辦們週"),
            map(ord, "妈邻师医农机学买面报纸听乐汤热写户卖车弹钢谈气场园厨里里边办们周"),
            strict=True,
        )
    ),  # of the characters that challenges have
}
_NOT_WORDS = re.compile(r"[\W_]+")


def word_error_rate(said: str, heard: str, language: str) -> float:
    """Words that are wrong, missing or too many in `heard`, over those in `said`: 0 and more.

    Case, punctuation, accents and other marks do not count. In languages without certain spaces a character is a word.
    1 for a sentence without words.
    """
    wanted = len(words(said, language))
    return wrong_words(said, heard, language) / wanted if wanted else 1.0


def wrong_words(said: str, heard: str, language: str) -> int:
    """Words that are wrong, missing or too many in `heard`."""
    wanted, found = words(said, language), words(heard, language)
    # a number for each word, as the distance is counted over characters
    numbers = {word: chr(number) for number, word in enumerate({*wanted, *found})}
    return edits("".join(map(numbers.__getitem__, wanted)), "".join(map(numbers.__getitem__, found)))


def words(text: str, language: str = "") -> list[str]:
    """Without case, punctuation and accents. `É` is `e`: what carries a mark is taken apart, and the marks are left
    out.
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(part for part in parts if unicodedata.category(part) != "Mn")
    whole = unicodedata.normalize("NFC", plain).translate(_SPELLINGS.get(language, {}))
    found = _NOT_WORDS.sub(" ", whole).split()
    return list("".join(found)) if language in _BY_CHARACTER else found
