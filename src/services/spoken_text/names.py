"""Abbreviations, addresses, and words in capitals."""

import re
from functools import cache, partial

from babel import Locale

from src.services.spoken_text.amounts import CODES, inflected
from src.services.spoken_text.characters import LETTERS
from src.services.spoken_text.vocabulary import vocabulary

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_DOMAINS = "com|org|net|edu|gov|io|eu|info|de|fr|es|it|pt|br|pl|tr|ru|nl|cz|hu|jp|kr|cn|uk|ch|at|be|us|app|dev|ai"
_ADDRESS = re.compile(
    rf"(?:https?://|www\.)[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]+|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:{_DOMAINS})\b"
    r"(?:/[A-Za-z0-9\-._~/?#=&%]*)?"
)
_VOWELS = frozenset("AEIOUYÁÉÍÓÚÀÈÄÖÜŐŰÂÊÎÔÛĄĘĚÝАЕЁИОУЫЭЮЯIİ")
_SPELT = frozenset("USA CEO VIP SOS DIY FYI USB UFO ID TV PC IT AI EU UN UK US UE OK".split())  # noqa: SIM905
_CAPITALS = re.compile(rf"(?<![{LETTERS}])[A-ZÀ-ÞĀ-ɏА-ЯЁ]{{2,}}(?![{LETTERS}])")
_STARTERS = "He|She|It|They|We|You|I|The|This|That|My|But|And|In|On|Then|There|When|If|What"
_INITIALS = re.compile(rf"(?<![\w.])((?:[A-Z]\.){{2,}})(?!\w)( (?=(?:{_STARTERS})\b)| ?$)?", re.MULTILINE)
"""Of what it may be the end of a sentence, where a word that begins one follows: U.S."""
_LETTERS_WITH_POINTS = re.compile(r"(?<![\w.@/])(?![ap]\.m\.)((?:[^\W\d_]{1,2}\.){2,})(?!\w|\n)")
"""An abbreviation that no table has: S.L., o.g."""
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
def _short(language: str) -> tuple[tuple[re.Pattern[str], dict[str, str], bool], ...]:
    """Patterns, what is said for each way of writing what they find, and whether a capital must follow."""
    patterns = []
    for short, word in sorted(
        vocabulary(language).short.items(), key=lambda pair: (len(pair[0]), pair[0][0] == "#"), reverse=True
    ):
        written = re.sub("^# |^-| [#A]$", "", short)
        said = {written: word}
        if written[1:] != written[1:].upper() or short[-2:] == " #":  # else D. C. is initials
            said = {_capitalised(written): _capitalised(word), **said}
            said = said if "." in written[:-1] else {written.upper(): word.upper(), **said}
        body = "|".join(re.escape(form).replace(r"\ ", r"\s?") for form in said)
        before = {"#": r"(?<=\d)\s?", "-": r"(?<=[^\W\d_])"}.get(short[0], r"(?<![^\W\d])(?<!\.)")
        before = "" if short[0] == "/" else before
        after = r"(?=\s?\d)" if short[-2:] == " #" else r"(?!\w)"
        table = {re.sub(r"\s", "", form): word for form, word in said.items()}
        patterns.append((re.compile(f"{before}(?:{body}){after}"), table, short[-2:] == " A"))
    return tuple(patterns)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def say_abbreviations(text: str, language: str) -> str:
    """Abbreviations in full. The point of one ends the sentence at the end of a line, or when a capital follows and the
    table has a point, too: then the line ends there.
    """
    if language == "en":
        text = _INITIALS.sub(lambda m: m[1].replace(".", " ").rstrip() + ("" if m[2] is None else ".\n"), text)
    text = _say_calendar(text, language)
    for pattern, table, capital in _short(language):
        text = pattern.sub(partial(_full, table=table, language=language, capital=capital), text)
    return _LETTERS_WITH_POINTS.sub(lambda match: match[1].replace(".", " ").rstrip() + _end(match), text)


def _full(match: re.Match[str], table: dict[str, str], language: str, *, capital: bool) -> str:
    word, behind = table[re.sub(r"\s", "", match[0])], match.string[match.end() :]
    after = " ".join(behind.lstrip(" -").split(maxsplit=1)[:1]).rstrip(".,;:!?")
    if capital and not after[:1].isupper():
        return match[0]
    before = match.string[: match.start()]
    space = " " if before[-1:].isdigit() else ""
    if "|" in word:
        count = re.search(r"\d[\d., ]*$", before)
        point = "." if word.endswith(".") else ""
        word = inflected(word.removesuffix("."), count[0] if count else "5", language) + point
    if before.rstrip()[-1:] in (".", "!", "?") and match[0][0].isupper():
        word = _capitalised(word)
    if not behind.split("\n")[0].strip():
        return space + word.removesuffix(".") + _end(match)
    begins = after[:1].isupper() and not (after.isupper() and after[1:])  # 5 p.m. EST
    begins = begins and after not in _calendar(language, "days").values()
    end = ".\n" if begins and word.endswith(".") else " " if behind[:1].isdigit() else ""
    return space + word.removesuffix(".") + end


@cache
def _calendar(language: str, kind: str) -> dict[str, str]:
    """CLDR's abbreviations of days or months, without points, in full."""
    names = getattr(Locale(language), kind)["format"]
    return {
        form: names["wide"][key]
        for key, short in names["abbreviated"].items()
        for form in (short.rstrip("."), _capitalised(short.rstrip(".")))
        if short[1:] and short != names["wide"][key]
    }


def _say_calendar(text: str, language: str) -> str:
    """Days and months in short: `Mo.-Fr.`, and beside a number `5 janv.`"""
    if language in ("ar", "zh", "ja", "ko"):
        return text
    names, days = vocabulary(language), _calendar(language, "days")
    day, to, at = "|".join(days), names.to.replace("-", ","), names.hours_before
    text = re.sub(
        rf"(?<!\w)({day})\.?\s?[–-]\s?({day})(?!\w)(?:\.(?!\s*(?:$|\n)))?",
        lambda match: f"{days[match[1]]} {to} {days[match[2]]}",
        text,
    )
    # Elsewhere they are words, too; and `mar.` is a month before it is a day.
    both = (days if language in ("de", "en", "fr", "es", "it", "pt", "pl", "ru") else {}) | _calendar(
        language, "months"
    )
    short = "|".join(both)
    point = r"(?:\.|(?<!Sun)(?<!Sat)(?=\s\d{1,2}\b))" if language == "en" else r"\."
    beside = rf"(?<!\w)({short}){point}(?=,?\s?(?:\d|(?:{at or chr(0)})\s))"
    after = rf"(?:(?<=\d\s)|(?<=\d\.\s)|(?<=1er\s)|(?<=\dº\s)|(?<=\d\sde\s))({short})\."
    return re.sub(rf"{beside}|{after}", lambda match: both[match[1] or match[2]] + _end(match), text)


def _end(match: re.Match[str]) -> str:
    """The point of an abbreviation at the end of a line."""
    return "" if match.string[match.end() :].split("\n")[0].strip() or not match[0].endswith(".") else "."


def unshouted(text: str, language: str) -> str:
    """A text that is all in capitals in small letters, but for what is spelled in it. NATO, UN is no such text."""
    if language in ("ar", "zh", "ja", "ko"):  # Latin words in them are names
        return text
    words = [word for word in re.findall(r"[^\W\d_]+", text) if word.upper() != word.lower() and word not in CODES]
    shouted = bool(words) and all(word.isupper() for word in words)
    lone = len(words) == 1 and 2 <= len(words[0]) <= 3 and _pronounceable(words[0])
    phrase = len(words) > 2 and re.search(r"\w\s+\w", text)
    if shouted and (lone or phrase or any(len(word) > 5 for word in words)):
        small = re.sub(r"(?<![\w&])[^\W\d_]+(?!\w*&)", lambda match: _unshouted(match[0], language), text)
        return text[:1] + small[1:]
    return text


def _unshouted(word: str, language: str) -> str:
    vowels = _VOWELS | frozenset("RL" if language == "cs" else "")
    spelt = not vowels & set(word) and not (word[2:] and word[-1] == word[-2]) and word not in ("MR", "MRS", "DR", "ST")
    return (
        word
        if word in CODES or (len(word) > 1 and (spelt or (word in _SPELT and len(word) > 2)))
        else _lower(word, language)
    )


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
