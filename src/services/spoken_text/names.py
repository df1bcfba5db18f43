"""Abbreviations, addresses, and words in capitals."""

import re
from functools import cache

from src.services.spoken_text.characters import LETTERS
from src.services.spoken_text.vocabulary import vocabulary

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_DOMAINS = "com|org|net|edu|gov|io|eu|info|de|fr|es|it|pt|br|pl|tr|ru|nl|cz|hu|jp|kr|cn|uk|ch|at|be|us|app|dev|ai"
_ADDRESS = re.compile(
    rf"(?:https?://|www\.)[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]+|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:{_DOMAINS})\b"
    r"(?:/[A-Za-z0-9\-._~/?#=&%]*)?"
)
_VOWELS = frozenset("AEIOUYÁÉÍÓÚÀÈÄÖÜŐŰÂÊÎÔÛĄĘĚÝАЕЁИОУЫЭЮЯIİ")
_SPELT = frozenset("USA CEO VIP SOS DIY USB UFO ID TV PC IT AI EU UN UK US UE OK".split())  # noqa: SIM905
_CAPITALS = re.compile(rf"(?<![{LETTERS}])[A-ZÀ-ÞĀ-ɏА-ЯЁ]{{2,}}(?![{LETTERS}])")


_SHOUTED = re.compile(rf"(?:{_CAPITALS.pattern}\s+)+{_CAPITALS.pattern}")


def say_addresses(text: str, language: str) -> str:
    """E-mail and web addresses as they are read out."""
    text = _EMAIL.sub(lambda match: _address(match[0], language), text)
    return _ADDRESS.sub(lambda match: _address(match[0], language), text)


def _address(address: str, language: str) -> str:
    signs = vocabulary(language).signs
    end = re.search(r"[.,;:!?)']*$", address)
    tail = end[0] if end else ""
    bare = re.sub(r"^https?://", "", address[: len(address) - len(tail)]).rstrip("/")
    bare = re.sub(r"^www\.", f"W W W {signs['.']} ", bare)
    spoken = re.sub(r"[^\w\s]|_", lambda match: f" {signs.get(match[0], ' ')} ", bare)
    return f" {' '.join(spoken.split())}{tail}"


@cache
def _short(language: str, *, several: bool = False) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns and what is said for them; `several`: those alone that have a point within."""
    table = vocabulary(language).short
    patterns = []
    for short in sorted(table, key=len, reverse=True):
        written, _, number = short.partition(" #")
        if several and (number or "." not in written[:-1]):
            continue
        digit = r"(?=\s?\d)" if number or short.endswith("#") else r"(?!\w)"
        for case in (str, _capitalised):
            body = re.escape(case(written)).replace(r"\ ", r"\s?")
            patterns.append((re.compile(rf"(?<![\w.]){body}{digit}"), case(table[short])))
    return tuple(patterns)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def say_inner_abbreviations(text: str, language: str) -> str:
    """Abbreviations of several words, whose points would seem to end sentences."""
    for pattern, word in _short(language, several=True):
        text = pattern.sub(rf"{word}", re.sub(rf"({pattern.pattern})(?=\s*(?:$|\n))", rf"{word}.", text))
    return text


def say_abbreviations(text: str, language: str) -> str:
    """Abbreviations in full. The point of one at the end of a sentence still ends it."""
    if language == "en":
        text = re.sub(r"(?<=[A-Z])\.(?=[A-Z]\.)|(?<=\.[A-Z])\.(?=\s)", " ", text)
        text = re.sub(r"\bSt\.(?=\s[A-Z])", "Saint", text)
        text = re.sub(r"\bSt\.", "Street", text)
    if language == "ru":
        text = re.sub(r"(?<=\d{4})\s?г\.", " г", text)
        text = re.sub(r"(?<!\w)г\.(?=\s[А-ЯЁ])", "город" if not re.search(r"у г\.", text) else "господина", text)
        text = re.sub(r"(?<=\d)\s?ч\.", " часов", text)
    ends = text.rstrip().endswith(".")
    for pattern, word in _short(language):
        text = pattern.sub(f"{word} " if word[-1:].isalpha() and pattern.pattern.endswith(r"\d)") else word, text)
    text = re.sub(" {2,}", " ", text)
    return text.rstrip() + "." if ends and not text.rstrip().endswith(".") else text


def unshouted(text: str, language: str) -> str:
    """A text that is all in capitals in small letters."""
    if language in ("ar", "zh", "ja", "ko"):  # Latin words in them are names
        return text
    words = [word for word in re.findall(r"[^\W\d_]+", text) if word.upper() != word.lower()]
    shouted = bool(words) and all(word.isupper() for word in words)
    lone = len(words) == 1 and 2 <= len(words[0]) <= 3 and _pronounceable(words[0])
    if shouted and (lone or len(words) > 2 or any(len(word) > 5 for word in words)):
        return text[:1] + _lower(text[1:], language)
    return text


def say_capitals(text: str, language: str) -> str:
    """NASA as the word that it is said as, BBC as letters."""
    if language == "ja":  # pyopenjtalk and cutlet know them
        return text
    text = _SHOUTED.sub(lambda match: _CAPITALS.sub(lambda word: _shouted(word[0], language), match[0]), text)
    return _CAPITALS.sub(lambda match: _acronym(match[0], language), text)


def _shouted(word: str, language: str) -> str:
    """One of several words in capitals: DO NOT, but BBC."""
    return word if word in _SPELT or not _VOWELS & set(word) else word[0] + _lower(word[1:], language)


def _acronym(word: str, language: str) -> str:
    if not word.isupper():
        return word
    if len(word) == 2 or word in _SPELT or not _pronounceable(word):
        return " ".join(word)
    return word[0] + _lower(word[1:], language)


def _pronounceable(word: str) -> bool:
    shape = "".join("V" if letter in _VOWELS else "C" for letter in word)
    shape = "C" + shape[1:] if word[0] == "Y" else shape
    if len(word) <= 3:
        return shape in ("CV", "CVC", "CVV")
    return len(word) > 5 or (re.fullmatch("V?(C{1,2}V{1,2})+C{0,2}", shape) is not None and "CCC" not in shape)


def _lower(text: str, language: str) -> str:
    return (text.replace("İ", "i").replace("I", "ı") if language == "tr" else text).lower()
