"""Roman numerals: kings are ordinals in most languages, chapters are numbers, and what stands before a noun agrees."""

import re
from functools import partial

from src.services.spoken_text.characters import LETTERS
from src.services.spoken_text.numbers import cardinal, ordinal
from src.services.spoken_text.ordinals import agreeing, in_case
from src.services.spoken_text.vocabulary import vocabulary

_ROMAN = re.compile(
    rf"(?<![{LETTERS}\d.'-])(?=[IVX])(?P<tens>X{{0,3}})(?P<ones>IX|IV|V?I{{0,3}})(?P<suffix>er|i?[eè]re|re|i?[eè]me|e|ᵉ)?"
    rf"(?P<point>\.?)(?![{LETTERS}\d-]|'(?!s\b)|\.[A-Z])(?=\s?(?P<noun>\w*))"
)
_NAME = re.compile(r"(?:(\w*)\s)?(?<!\w)([^\W\d_][\w'-]*\.?)\s$")
_CENTURIES = {
    "pl": (r"(?<!\w)(?:([Ww]e?|[Oo]d|[Dd]o|[Zz])\s)?(\d{1,2})\.?\s(w\.|wieku?(?!\w))", ("wiek", "wieku", "wieku")),
    "ru": (r"(?<!\w)(?:([Вв]о?|[Дд]о|[Сс]|[Ии]з)\s)?(\d{1,2})\s?(в\.|век[ае]?(?!\w))", ("век", "веке", "века")),
}
_NO_KING = re.compile(r"(?!(?:Leo|Léo|Jan|Pio|Pío|Lev|Sem)$)\w{1,3}|.*\.")
"""Articles and prepositions at the beginning of a sentence, ends of sentences."""


def say_romans(text: str, language: str) -> str:
    """Ludwig XIV., XXe, II wojna. What is said as a bare number is left in digits."""
    return in_case(_ROMAN.sub(partial(_roman, language=language), text), _CENTURIES, language)


def _roman(match: re.Match[str], language: str) -> str:
    found = _NAME.search(match.string[max(0, match.start() - 80) : match.start()])
    before, name = (found[1] or "", found[2]) if found else ("", "")
    suffix, point, noun = (match[group] or "" for group in ("suffix", "point", "noun"))
    number = 10 * len(match["tens"]) + {"IX": 9, "IV": 4}.get(match["ones"], len(match["ones"].replace("V", "IIIII")))
    counted = bool(name) and re.fullmatch(vocabulary(language).counted, name, re.IGNORECASE) is not None
    king = name[:1].isupper() and not _NO_KING.fullmatch(name) and not counted
    if suffix:
        return f"{number}{'e' if suffix == 'ᵉ' else suffix}{point}" if language in ("fr", "nl") else match[0]
    if number in (1, 5, 10) and not _alone(match, name, language, counted=counted, king=king and number != 10):
        return match[0]
    if king and language not in ("hu", "tr"):
        behind = match.string[match.end() :].lstrip()[:1]
        eaten = language in ("de", "cs") and behind and not behind.isupper()
        return _king(number, name, before.lower(), language) + ("" if eaten else point)
    agrees = point if language in ("de", "cs", "hu", "tr") else language in ("es", "it", "pt", "pl", "ru") and not point
    if noun and agrees and not counted and not re.fullmatch("w|wieku?|в|век[ае]?|secolo|stol", noun):
        said = agreeing(number, name.lower(), noun, language)
        return said.capitalize() if name.endswith(".") else said
    if counted and not name.endswith("."):
        return cardinal(number, language) + point
    return match[0] if language == "en" and number == 4 and not counted else f"{number}{point}"  # IV is a drip, too


def _alone(match: re.Match[str], name: str, language: str, *, counted: bool, king: bool) -> bool:
    """Whether I, V or X is a number."""
    if language in ("hu", "tr"):
        return match["point"] == "." and match["noun"][:1].isupper() and match[0] != "X."
    behind = match["point"] + match.string[match.end() :]
    noun, sure = match["noun"], counted and name[0].isupper()
    if language == "en" and match["ones"] == "I" and not sure and not re.match(r"\W*$|[,.;:!?)']|\s?of\b", behind):
        return False  # a pronoun
    initial = match["point"] and noun and language not in ("de", "cs")
    before = re.match("wojn|wiek|w$|век|в$|миров|guerr|weltkrieg|svět", noun, re.IGNORECASE) is not None
    return (counted or king or before) and not initial


def _king(number: int, name: str, before: str, language: str) -> str:
    queen = name in vocabulary(language).queens.split() or (name.endswith("a") and language not in ("pl", "cs", "ru"))
    if language in ("en", "nl"):
        return ("the " if language == "en" else "de ") + ordinal(number, language)
    if language == "de":
        dative, genitive = before in ("von", "mit", "bei", "zu", "unter"), re.search("[^aeinou]s$", name)
        article = "des" if genitive else "der" if dative == queen else "die" if queen else "dem"
        return f"{article} {ordinal(number, 'de', 'n' if dative or genitive else '')}"
    if language in ("pl", "cs", "ru"):
        return ordinal(number, language, "f" if queen else "g" if name.endswith(("a", "а", "я")) else "m")
    if language == "it" or (language in ("es", "pt") and number <= 10) or (language == "fr" and number == 1):
        return ordinal(number, language, "f" if queen else "m")
    return cardinal(number, language)
