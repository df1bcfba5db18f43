"""Ordinals, in the form that their language inflects them to: `5. Mai`, `1er`, `2ª`, `XX век`, `в 2019 г.`"""

import re
from collections.abc import Mapping
from functools import cache

from babel import Locale

from src.services.spoken_text.numbers import cardinal, gender_of, ordinal
from src.services.spoken_text.vocabulary import vocabulary

_SUFFIXES = {
    "en": (r"(\d{1,3}(?:,\d{3})+|\d+)(st|nd|rd|th)\b", {}),
    "fr": (r"(\d+)(ère|ere|re|ers?|[eè]mes?|i[eè]mes?|nd|n?de|es?|ᵉ)\b", {"ère": "f", "ere": "f", "re": "f"}),
    "es": (r"(\d+)\.?(?:(º|ª|°)(?!C)|(er|e?ro|e?ra|do|da|to|ta|vo|va|mo|ma|no|na)\b)", {"er": "apocope"}),
    "it": (r"(\d+)(º|ª|°(?!\s?[cf]\b)(?=\s?[a-z])|°$|[ao](?=\s[a-z]))", {}),
    "pt": (r"(\d+)\.?(º|ª|°(?!\s?[cf]\b)(?=\s?[a-z])|[oa]\b)", {}),
    "de": (r"(\d+)(s?te[rnms]?)\b", {f"{s}te{each}": each for s in ("", "s") for each in "rnms"}),
    "nl": (r"(\d+)(ste|de|e)\b", {}),
    "pl": (r"(\d+)-?(szy|gi|ci|ty|my|sza|ga|cia|ta|ma|sze|gie|cie|te|me|(?:sz|gi|ci|t|m)e(?:go|j)|"
           r"(?:szy|[gc]i|[tm]?y)(?:ch|m))\b", {
        "sze": "n", "gie": "n", "cie": "n", "te": "n", "me": "n", "szego": "g", "giego": "g", "ciego": "g", "tego": "g",
        "mego": "g", "szej": "l", "giej": "l", "ciej": "l", "tej": "l", "mej": "l",
        **dict.fromkeys(("szym", "gim", "cim", "tym", "mym", "ym"), "p"),
        **dict.fromkeys(("szych", "gich", "cich", "tych", "mych", "ych"), "many"),
    }),
    "ru": (r"(\d+)-(ого|его|го|ому|му|ый|ий|ой|й|ая|я|ое|е|ом|м)\b", {
        "го": "g", "ого": "g", "его": "g", "му": "d", "ому": "d", "м": "p", "ом": "p", "я": "f", "ая": "f", "е": "n",
        "ое": "n",
    }),
}  # fmt: skip
"""What is written behind an ordinal, and the form that it stands for."""
_SUFFIXED = {
    language: re.compile(rf"({pattern})\s?[–—-]\s?(?=\d)", re.IGNORECASE)
    for language, (pattern, _) in _SUFFIXES.items()
}
_POINTED_RANGE = re.compile(r"(?<![\d.,])(\d{1,3})\.?\s?([–—/-])\s?(\d{1,3})\.(?=\s+[^\W\d_])")
_ORDINAL_POINT = re.compile(r"(?<![\d.,])(\d{1,4})\.(?=\s+[^\W\d_]|,\s\d{1,4}\.\s)")


_YEARS = {
    "ru": (r"(?:\b([Вв]о?)\s)?(?<!\d)(\d{4})\s(году|года|год|г)(?!\w)", ("год", "году", "года")),
    "pl": (r"(?:\b([Ww])\s)?(?<!\d)(\d{4})\s(roku|r)(?!\w)\.?", ("rok", "roku", "roku")),
}
"""What is found: a preposition, the number and the noun; and the noun in nominative, locative and genitive."""


def say_ordinals(text: str, language: str) -> str:
    """Ordinals of a sentence in words, and numbers that are said as such: days of months, Russian and Polish years."""
    return in_case(_ordinals(text, language), _YEARS, language)


def in_case(text: str, nouns: Mapping[str, tuple[str, tuple[str, str, str]]], language: str) -> str:
    """An ordinal and its noun in the case that the preposition asks for: в 2019 г., w XIX w. `nouns`: as `_YEARS`."""
    if language not in nouns:
        return text
    pattern, words = nouns[language]
    return re.sub(pattern, lambda match: _in_case(match, words, language), text)


def _in_case(match: re.Match[str], words: tuple[str, str, str], language: str) -> str:
    before, number, noun = match.groups()
    inside = before and before.lower() in ("w", "we", "в", "во")
    form = "p" if inside else "m" if not before and noun in (words[0], "w.", "в.") else "g"
    end = "." if noun.endswith(".") and not match.string[match.end() :].strip() else ""
    return f"{before + ' ' if before else ''}{ordinal(int(number), language, form)} {words['mpg'.index(form)]}{end}"


@cache
def _months(language: str) -> str:
    names = Locale(language).months
    words = {word for kind in ("format", "stand-alone") for word in names[kind]["wide"].values()}
    return "|".join(sorted(words, key=len, reverse=True))


def _bound(text: str, language: str) -> str:
    if language == "ru":
        return re.sub(r"(?<!\d)(\d+0)-ы?([ех])(?!\w)", lambda match: _plural_ordinal(int(match[1])) + match[2], text)
    if language == "it":
        return re.sub(
            r"(?<!\d)(\d{1,2})(?=\ssecolo\b)|(?<=\bsecolo\s)(\d{1,2})", lambda match: ordinal(int(match[0]), "it"), text
        )
    if language == "pl":
        return re.sub(
            r"\b([Ll]ata(?:ch)?|[Ll]at(?=\s\d+\.))((?:(?:,|\si|\slub|\s?[–-])?\s?\d0\b\.?)+)(?![\w-]|[.,]\d)",
            _polish_decades,
            text,
        )
    if language == "de":
        return re.sub(r"(?<![\d.,])(\d{1,2}\.)(?=[A-ZÄÖÜ][a-zäöü])", r"\1 ", text)
    if language == "tr":
        return re.sub(r"(?<!\d)(\d{1,3})\.'(?=[^\W\d_])", lambda match: ordinal(int(match[1]), "tr"), text)
    return text


def _polish_decades(match: re.Match[str]) -> str:
    """lata 80. i 90."""
    form = "n" if match[1][1:] == "ata" else "many"
    return match[1] + re.sub(r"(\d0)\.?", lambda decade: ordinal(int(decade[1]), "pl", form), match[2])


def _any_ordinal(number: int, sign: str, language: str) -> str:
    if language == "zh":
        return f"第{cardinal(number, language)}"
    feminine = "" if language == "de" else "f"
    return ordinal(number, language, feminine if sign == "ª" else "r" if language == "de" else "")


def _ordinals(text: str, language: str) -> str:
    text = _bound(text, language)
    if language not in ("es", "it", "pt"):
        text = re.sub(r"(\d+)\s?([ºª])(?![A-Za-z])", lambda m: _any_ordinal(int(m[1]), m[2], language), text)
    if language in _SUFFIXES:
        text = _SUFFIXED[language].sub(lambda match: f"{match[1]}{_to(language)}", text)
        pattern, forms = _SUFFIXES[language]
        text = re.sub(pattern, lambda match: _suffixed(match, language, forms), text, flags=re.IGNORECASE)
    months = _months(language)
    if language in ("ru", "pl", "cs"):
        text = _slavic_days(text, language, months)
    if language == "en":
        text = _english_days(text, months)
    if language in ("it", "pt"):
        first = rf"(?<![\d.,])1(?=\s(?:de\s)?(?:{months})\b)"
        text = re.sub(first, ordinal(1, language), text, flags=re.IGNORECASE)
    text = _hungarian(text, months) if language == "hu" else text
    if language in ("de", "cs", "hu", "pl", "tr"):
        text = _POINTED_RANGE.sub(lambda match: _pointed_range(match, language), text)
        text = _ORDINAL_POINT.sub(lambda match: _pointed(match, language), text)
    return text


def _slavic_days(text: str, language: str, months: str) -> str:
    """In the genitive: 5 мая, od 1 do 5 maja, 3.–5. května."""
    number, of_month = r"(?<![\d.,])(\d{1,2})\.?", rf"\d{{1,2}}\.?\s(?:{months})(?!\w)"

    def genitive(match: re.Match[str]) -> str:
        return ordinal(int(match[1]), language, "g")

    text = re.sub(rf"{number}\s?[–—-]\s?(?={of_month})", lambda match: genitive(match) + _to(language), text)
    text = re.sub(rf"{number}(?=\s(?:po|do|až do|по|до)\s{of_month})", genitive, text)
    return re.sub(
        rf"{number}(?=\s(?:{months})(?!\w))",
        lambda match: ordinal(int(match[1]), language, {"к": "d", "по": "n"}.get(word_before(match), "g")),
        text,
        flags=re.IGNORECASE,
    )


def _english_days(text: str, months: str) -> str:
    days = r"(?<![\d.,:])(\d{1,2})\s?[–—-]\s?(\d{1,2})(?!\d|[:.,]\d)"
    text = re.sub(rf"(\b(?:{months})\s){days}", lambda m: f"{m[1]}{_both(m[2], m[3])}", text)
    text = re.sub(rf"{days}(?=\s(?:{months})\b)", lambda m: _both(m[1], m[2]), text)
    text = re.sub(rf"\b((?:{months})\s)(\d{{1,2}})(?![\d:.]\d|\d)", lambda m: m[1] + ordinal(int(m[2]), "en"), text)
    return re.sub(rf"(?<![\d.,])(\d{{1,2}})(?=\s(?:{months})\b)", lambda m: ordinal(int(m[1]), "en"), text)


def _plural_ordinal(number: int) -> str:
    return ordinal(number, "ru").removesuffix("ый").removesuffix("ой") + "ы"


def _suffixed(match: re.Match[str], language: str, forms: dict[str, str]) -> str:
    suffix = next(group for group in match.groups()[1:] if group).lower()
    form = forms.get(suffix, "f" if suffix.endswith(("ª", "a")) else "")
    space = " " if match.string[match.end() : match.end() + 1].isalpha() else ""  # 2ºB
    return ordinal(int(match[1].replace(",", "")), language, form) + space


def _hungarian(text: str, months: str) -> str:
    """`május 5-én`, `május 5.` and `május 5` are all the fifth; years stand before the month."""
    text = re.sub(r"(?<=\d)\.\s?§", ". paragrafus", text)
    case = rf"((?:{months})\s)(\d{{1,2}})-j?é?á?(t[őó]l|ig|r[ea]|h[eo]z)\b"
    text = re.sub(case, lambda m: m[1] + _lengthened(_day_alone(int(m[2]))) + m[3], text, flags=re.IGNORECASE)
    text = re.sub(rf"(\d{{4}})\.(?=\s(?:{months}))", lambda m: cardinal(int(m[1]), "hu"), text)
    days = rf"((?:{months})\s)(\d{{1,2}})\.?\s?[–—-]\s?(\d{{1,2}})(?:\.(?=\s\w))?(?![\d:-]|\.\d)"
    text = re.sub(days, lambda m: f"{m[1]}{_day_alone(int(m[2]))}-{_day_alone(int(m[3]))}", text, flags=re.IGNORECASE)
    ending = r"(?:-j?([aáeé][a-záéíóöőúüű]*)|(\.))?"
    text = re.sub(r"(?<![\d.,])(\d{1,2})-([áé]n)\b", lambda m: ordinal(int(m[1]), "hu") + m[2], text)
    return re.sub(rf"((?:{months})\s)(\d{{1,2}}){ending}(?![\d.:])", _hungarian_day, text, flags=re.IGNORECASE)


def _hungarian_day(match: re.Match[str]) -> str:
    day = int(match[2])
    if match[3]:
        return match[1] + ("elsej" if day == 1 else ordinal(day, "hu")) + match[3]
    if match[4] and match.string[match.end() :].strip():
        return match[1] + ordinal(day, "hu")
    return match[1] + _day_alone(day) + (match[4] or "")


def _lengthened(day: str) -> str:
    return day[:-1] + {"a": "á", "e": "é"}[day[-1]]


def _day_alone(day: int) -> str:
    said = ordinal(day, "hu")
    return "elseje" if day == 1 else said + ("a" if said.endswith(("adik", "odik")) else "e")


def _both(first: str, last: str) -> str:
    return f"{ordinal(int(first), 'en')} to {ordinal(int(last), 'en')}"


def _to(language: str) -> str:
    to = vocabulary(language).to
    return to if to == "-" else f" {to} "


def _pointed_range(match: re.Match[str], language: str) -> str:
    """Both ends in the form that the noun asks for."""
    noun = match.string[match.end() :].split()[0].strip(".,;:!?")
    said = (agreeing(int(number), _before(match, language), noun, language) for number in (match[1], match[3]))
    return (", " if match[2] == "/" else _to(language)).join(said)


def _before(match: re.Match[str], language: str) -> str:
    two = word_before(match, 2)
    return two if two in vocabulary(language).ordinal_behind else word_before(match)


def _pointed(match: re.Match[str], language: str) -> str:
    noun = match.string[match.end() :].split()[0].strip(".,;:!?")
    return agreeing(int(match[1]), _before(match, language), noun, language)


def agreeing(number: int, before: str, noun: str, language: str) -> str:
    """An ordinal between a word in small letters, or none, and its noun, in the form that they ask for."""
    asked = vocabulary(language).ordinal_behind.get(before, "")
    if noun in ("let", "letech", "lat", "latach"):
        return ordinal(number, language, "many")
    if language == "de":
        return ordinal(number, "de", asked if before in vocabulary(language).ordinal_behind else "r")
    if language in ("es", "it", "pt"):
        return ordinal(number, language, "f" if gender_of(noun, "", language) == "f" else "apocope")
    if language == "ru":
        form = "p" if before in ("в", "во", "на") and noun.endswith("е") else _by_ending(noun.replace("я", "а"))
    elif language == "pl" and noun.endswith("e") and not asked:
        form = "n"
    else:
        feminine = asked == "p" and noun.endswith(("ě", "ie") + (("i",) if language == "cs" else ()))
        form = "l" if feminine else asked or _by_ending(noun)
    return ordinal(number, language, form)


def _by_ending(noun: str) -> str:
    return {"a": "f", "o": "n", "í": "n", "ě": "l", "u": "g", "á": "f", "а": "f", "е": "n", "о": "n"}.get(
        noun[-1:], "m"
    )


def word_before(match: re.Match[str], words: int = 1) -> str:
    """The word, or the two words, before a match, in small letters."""
    found = re.search(rf"(?<!\w)(?:\w+\s+){{{words}}}$", match.string[max(0, match.start() - 40) : match.start()])
    return " ".join(found[0].lower().split()) if found else ""
