"""Characters: what a reader sees in them, before the rules for numbers and signs, and after."""

import re
import unicodedata
from functools import cache

from anyascii import anyascii

from src.services.spoken_text.vocabulary import vocabulary

_APOSTROPHES = frozenset("'’‘‛ʼ＇`´′")
_QUOTES = frozenset('"“”„‟«»‹›「」『』《》〈〉〝〞〟＂″‚')
_SILENT = frozenset("™®©℠•◦‣¶†‡") | {chr(each) for each in range(0xFE00, 0xFE10)}
"""Nobody says them: marks of trade, bullets, selectors of a form."""
_KEPT_FORMS = frozenset("﷼°²³½¼¾⅓⅔№…§ªº″")
_GROUPING_SPACES = frozenset("\u00a0\u2009\u202f")
LETTERS = "A-Za-zÀ-ɏЀ-ӿ"
"""Those that stand in words between spaces: units and abbreviations end where none follows."""
_NATIVE = {
    "ru": "\u0400-\u04ff",
    "ar": "\u0600-\u06ff\u0750-\u077f",
    "zh": "\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "ja": "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "ko": "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f",
}
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_MARKS = re.compile("[\u0600-\u06ff\u3040-\u30ff]")
_PUNCTUATION = ".,;:!?'-()¿¡،؛؟。，、！？；：（）ー…–—"
_PAUSES = str.maketrans({"…": ".", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",", "（": "，", "）": "，"})


def readable(text: str, unsaid: dict[str, None]) -> str:
    """`text` in plain characters: one way of writing each letter, ASCII digits, no marks that are only seen.

    Adds to `unsaid` what cannot be said.
    """
    normal = unicodedata.normalize("NFC", text)
    return "".join(_plain(character, unsaid) for character in normal)


def _plain(character: str, unsaid: dict[str, None]) -> str:
    if character in "\n\r\u2028\u2029\x0b\x0c\x85":
        return "\n"
    if (
        (character.isascii() and character.isprintable())
        or character in _GROUPING_SPACES
        or character in _KEPT_FORMS
        or "ㄱ" <= character <= "ㅣ"
    ):
        return "'" if character in "`'" else "" if character == '"' else character
    if character in _APOSTROPHES or character in _QUOTES:
        return "'" if character in _APOSTROPHES else ""
    return _of_category(character, unsaid)


_SAME = {"٫": ".", "٬": ",", "٪": "%", "−": "-", "‐": "-", "‑": "-", "‒": "–", "―": "—", "〇": "零"} | dict.fromkeys(
    "÷×–—", ""
)
"""Signs that look alike as one; empty: as it is."""


def _of_category(character: str, unsaid: dict[str, None]) -> str:
    category = "same" if character in _SAME else unicodedata.category(character)
    if category == "same":
        return _SAME[character] or character
    if category in ("Nd", "No", "Nl"):
        return _number_form(character)
    if category in ("Cf", "Me", "Cc", "Zs") or character in _SILENT:
        return " " if category in ("Cc", "Zs") else ""
    form = unicodedata.normalize("NFKC", character)
    if form != character and category[0] in "LSP" and form not in _PUNCTUATION:
        return "".join(_plain(each, unsaid) for each in form)
    return _left_out(character, unsaid) if category in ("Co", "Cn", "Cs", "So", "Sk") else character


def _number_form(character: str) -> str:
    """① and Ⅳ are numbers of their own, ⁵ belongs to what stands before it, ⅞ is a fraction."""
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.decimal(character))
    form = unicodedata.normalize("NFKC", character)
    if "\u2044" in form:
        return f" {form.replace(chr(0x2044), '/')} "
    value = unicodedata.numeric(character, -1.0)
    if unicodedata.category(character) == "Nl" and not unicodedata.name(character, "").startswith("ROMAN"):
        return character
    return f" {int(value)} " if value == int(value) and value >= 0 else " "


def _left_out(character: str, unsaid: dict[str, None]) -> str:
    unsaid[character] = None
    return " "


def sayable(text: str, language: str, unsaid: dict[str, None]) -> str:
    """The text in letters that the language's voices know, with the punctuation that makes pauses; none other.

    Letters of other alphabets are transliterated. Adds to `unsaid` what cannot be said.
    """
    if language == "ja":
        text = _HAN.sub(lambda match: _japanese(match[0], unsaid), text)
    if language in ("zh", "ja"):
        text = text.replace("…", "，" if language == "zh" else "、")
    text = _foreign(language).sub(lambda match: _transliterated(match[0], unsaid), text.translate(_PAUSES))
    if language == "ko":
        text = re.sub("[ㄱ-ㅎㅏ-ㅣ]", lambda match: _syllable(match[0]), text)
    said = "".join(_known(character, unsaid) for character in text)
    return _tidied(said, language)


@cache
def _foreign(language: str) -> re.Pattern[str]:
    """Runs of letters, with their marks, that the language does not use."""
    extra = vocabulary(language).letters
    known = f"a-zA-Z{extra}{extra.upper()}{_NATIVE.get(language, '')}"
    letter = f"[^\\W\\d_{known}]"
    return re.compile(rf"{letter}(?:{letter}|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u109f\u17b4-\u17d3])*")


def _japanese(run: str, unsaid: dict[str, None]) -> str:
    """Chinese characters that a Japanese character set lacks are Chinese, and so are those beside them."""
    known = all(any(each.encode(charset, "ignore") for charset in ("shift_jisx0213", "cp932")) for each in run)
    return run if known else f" {_transliterated(run, unsaid)} "


def _syllable(jamo: str) -> str:
    """A Korean letter that stands alone, as in ㅋㅋㅋ, with the vowel or the silent consonant that makes it one."""
    letter = unicodedata.normalize("NFKC", jamo)
    return unicodedata.normalize("NFC", f"\u110b{letter}" if jamo > "ㅎ" else f"{letter}\u1173")


def _transliterated(run: str, unsaid: dict[str, None]) -> str:
    """A run of foreign letters in Latin ones. What has none there is left out."""
    letters = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", anyascii(run))  # Chinese syllables
    if not any(map(str.isalpha, letters)):
        unsaid[run] = None
    return "".join(letter if letter.isalpha() or letter in "' " else "" for letter in letters)


def _known(character: str, unsaid: dict[str, None]) -> str:
    category = unicodedata.category(character)
    if character.isalpha() or character.isspace() or character in _PUNCTUATION:
        return character
    if category in ("Mn", "Mc"):  # Arabic vowels, Japanese sound marks; a letter has no others after NFC
        return "" if character < "\u0600" else character if _MARKS.match(character) else _left_out(character, unsaid)
    if category[0] == "S" and not character.isascii():
        return _left_out(character, unsaid)
    return " " if category[0] in "PS" else ""


def _tidied(text: str, language: str) -> str:
    """One mark where several stand together, the strongest, and none at the beginning."""
    if language not in ("zh", "ja"):
        text = re.sub(r"\s+[–—]\s*|\s*[–—]\s+|[–—]", ", ", text)
        text = re.sub(r"(?<![^\W\d_])'|'(?![^\W\d_])|(?<![^\W\d_])-|-(?![^\W\d_])", " ", text)
    if language in ("zh", "ja"):
        text = re.sub(r"\s*[–—]+\s*", "，" if language == "zh" else "、", text)
        text = re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef])\s+(?=[\u3000-\u9fff\uff00-\uffef])", "", text)
    text = re.sub(r"\s*[.,;:!?،؛؟。，、！？；：](?:\s*[.,;:!?،؛؟。，、！？；：])*", _strongest, text)
    text = re.sub(r"([.,;:!?])(?=[^\W\d_])", r"\1 ", text)
    text = re.sub(r"^[\s.,;:!?،؛؟。，、！？；：-]+", "", text)
    return " ".join(text.split())


def _strongest(match: re.Match[str]) -> str:
    marks = re.sub(r"\.\s*(?=[,;:])", "", match[0])  # of an abbreviation
    for kind in ("?？؟", "!！", ".。", ";；؛", ":："):
        for mark in marks:
            if mark in kind:
                return mark
    return marks.strip()[0]
