"""Numbers as each language writes them, and in words. num2words has the words; what it lacks is here: Chinese,
Czech ordinals, Turkish in separate words, Korean counting, and one and two before a noun.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial

from num2words import num2words

from src.services.spoken_text.vocabulary import vocabulary

NUMBER = r"(?<![0-9])[0-9]++(?:[.,][0-9]++)*+"
_LONGEST = 15
"""Digits of a number that is said as one; longer ones are account numbers and the like, said digit by digit."""

_HAN_DIGITS = "零一二三四五六七八九"
_HAN_GROUPS = ("", "万", "亿", "万亿")
_TURKISH = re.compile(
    "sıfır|milyon|milyar|trilyon|yüz|bin|altmış|yetmiş|seksen|doksan|yirmi|otuz|kırk|elli|bir|iki|üç|dört|beş|altı|yedi"
    "|sekiz|dokuz|on"
)
_NATIVE_KOREAN = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_KOREAN_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_CZECH_ONES = """nultý první druhý třetí čtvrtý pátý šestý sedmý osmý devátý desátý jedenáctý dvanáctý třináctý
    čtrnáctý patnáctý šestnáctý sedmnáctý osmnáctý devatenáctý""".split()  # noqa: SIM905 - words read better than strings
_CZECH_TENS = "dvacátý třicátý čtyřicátý padesátý šedesátý sedmdesátý osmdesátý devadesátý".split()  # noqa: SIM905

_CZECH_TIMES = ("", "", "dvou", "tří", "čtyř", "pěti", "šesti", "sedmi", "osmi", "devíti")


def parse(number: str, language: str) -> tuple[str, str] | None:
    """Digits before and after the decimal sign. None when the separators make no number: a date, a version."""
    groups, signs = re.split("[.,]", number), re.findall("[.,]", number)
    if not signs:
        return number, ""
    *grouping, last = signs
    if len(signs) == 1:
        thousands = 1 <= len(groups[0]) <= 3 and groups[0][0] != "0" and len(groups[1]) == 3
        grouped = thousands and last == vocabulary(language).thousands
        return ("".join(groups), "") if grouped else (groups[0], groups[1])
    if len(groups[0]) > 3 or any(len(group) != 3 for group in groups[1:-1]) or len(set(grouping)) > 1:
        return None
    if last != grouping[0]:
        return "".join(groups[:-1]), groups[-1]
    return ("".join(groups), "") if len(groups[-1]) == 3 else None


def say(number: str, language: str, gender: str = "") -> str:
    """A number as it is written, without sign and spaces, in words. `gender`: as in `cardinal`."""
    parts = parse(number, language)
    if parts is None:
        point = vocabulary(language).signs["."]
        return (point if language in ("zh", "ja") else f" {point} ").join(
            say(group, language) for group in re.split("[.,]", number)
        )
    integer, fraction = parts
    if len(integer) > _LONGEST or (len(integer) > 1 and integer[0] == "0"):
        whole = digits(integer, language)
    else:
        whole = cardinal(int(integer), language, "" if fraction else gender)
    if not fraction:
        return whole
    if (integer, fraction) == ("1", "5") and gender and "|" in (half := vocabulary(language).one_and_half):
        return half.split("|")[(gender[0] == "f") + 2 * (gender[1:] == "g")]
    if language in ("ru", "hu") and len(fraction) <= 3 and int(fraction) and len(integer) <= 9:  # five tenths
        return str(num2words(float(f"{integer}.{fraction}"), lang=language))
    return f"{whole}{_fraction(fraction, language)}"


def _fraction(fraction: str, language: str) -> str:
    unspaced = language in ("zh", "ja")
    point = vocabulary(language).point if unspaced else f" {vocabulary(language).point} "
    spelt = language in ("en", "zh", "ja", "ko") or len(fraction) > 3
    zeros = len(fraction) - len(fraction.lstrip("0"))
    if spelt or zeros == len(fraction):
        return point + digits(fraction, language)
    return point + " ".join([*[cardinal(0, language)] * zeros, cardinal(int(fraction), language)])


def gender_of(noun: str, number: str, language: str) -> str:
    """m, f or n of the noun behind a number, as far as the vocabulary tells; empty where it does not matter."""
    nouns = vocabulary(language).nouns
    for gender in "fn":
        if re.fullmatch(nouns.get(gender + number[-1:], nouns.get(gender, "-")), noun.lower()):
            return gender
    return "m" if nouns else ""


def digits(number: str, language: str) -> str:
    return ("" if language in ("zh", "ja") else " ").join(cardinal(int(digit), language) for digit in number)


@lru_cache(1024)
def cardinal(number: int, language: str, gender: str = "") -> str:
    """0 or more in words; `gender` m, f or n where a noun of that gender follows, empty where none does. In Russian,
    Polish and Czech, the case may follow the gender: g (genitive), i (instrumental); in Russian also d (dative).
    """
    if number >= 10**_LONGEST:
        return digits(str(number), language)
    if language == "zh":
        return _chinese(number, before_noun=bool(gender))
    if language == "ru" and gender:
        return str(num2words(number, lang="ru", gender=gender[0], case=gender[1:] or "n"))
    words = str(num2words(number, lang=language)).replace(",", "")
    if language == "tr":
        words = " ".join(_TURKISH.findall(words))
    for wrong, right in vocabulary(language).repairs.items():
        words = words.replace(wrong, right)
    if gender[1:] in ("g", "i"):
        words = _genitive(words, vocabulary(language).genitive)
    if gender[1:] == "i":
        words = " ".join(vocabulary(language).instrumental.get(word, word) for word in words.split())
    return _before_noun(words, language, gender)


def _genitive(words: str, table: dict[str, str]) -> str:
    *others, last = words.split()
    last = last if others and last in ("jeden", "jedna") else table.get(last, last)
    return " ".join([*(table.get(word, word) for word in others), last])


def first_part(number: int, language: str) -> str:
    """A number as the beginning of a Polish, Czech or Russian word: dwudziestojedno-, pěti-, двух-.

    The genitive, but for the words of `compound`, and Polish -u that becomes -o.
    """
    table = vocabulary(language).compound
    words = cardinal(number, language, "mg").split()
    return "".join(table.get(word) or ("" if word in table else re.sub("(?<=[^o])u$", "o", word)) for word in words)


def _before_noun(words: str, language: str, gender: str) -> str:
    if gender == "f":  # Spanish and Portuguese hundreds
        words = re.sub(r"entos\b", "entas", words)
    for ending, before_noun in vocabulary(language).before.get(gender, {}).items():
        if words.endswith(ending):
            return words.removesuffix(ending) + before_noun
    return words


def year(number: int, language: str) -> str:
    """A number of four digits as a year is said."""
    if language in ("en", "de", "nl"):
        return str(num2words(number, lang=language, to="year")).replace(",", "").replace(" honderd ", "honderd")
    return cardinal(number, language)


def ordinal(number: int, language: str, form: str = "") -> str:
    """`form`: what the language inflects by: m, f or n, g (genitive), d (dative), p (prepositional), l (that of a
    feminine noun) or many (genitive plural); es: apocope; de: the ending. The cardinal where num2words has no ordinal.
    """
    try:
        known = _ORDINALS.get(language)
        words = known(number, form) if known else str(num2words(number, lang=language, to="ordinal"))
    except (NotImplementedError, OverflowError, IndexError, KeyError):
        words = ""
    return words.strip() or cardinal(number, language)


def _russian_ordinal(number: int, form: str) -> str:
    case, gender = (form, "m") if form in ("g", "p", "d") else ("n", form or "m")
    return str(num2words(number, lang="ru", to="ordinal", case=case, gender=gender))


def _french_ordinal(number: int, form: str) -> str:
    return "première" if number == 1 and form == "f" else str(num2words(number, lang="fr", to="ordinal"))


def _romance_ordinal(number: int, form: str, language: str) -> str:
    words = str(num2words(number, lang=language, to="ordinal"))
    if form == "apocope":
        return words.removesuffix("o") if words.endswith(("primero", "tercero")) else words
    return re.sub(r"o\b", "a", words) if form == "f" else words


def _turkish_ordinal(number: int, _: str) -> str:
    words = cardinal(number, "tr").replace("dört", "dörd") if number % 10 == 4 else cardinal(number, "tr")
    last = words.split()[-1].replace("dörd", "dört")
    return words + vocabulary("tr").ordinal_endings.get(last, "uncu")


def _czech_ordinal(number: int) -> str:
    if number < 20:
        return _CZECH_ONES[number]
    rest = number % 100
    tens = (_CZECH_TENS[rest // 10 - 2], _CZECH_ONES[rest % 10]) if rest >= 20 else ("", _CZECH_ONES[rest])
    words = [tens[0], tens[1] if rest % 10 or not tens[0] else ""]
    if number < 100:
        return " ".join(filter(None, words))
    if not rest and number >= 10_000:
        raise NotImplementedError
    if not rest:
        thousands, hundreds = divmod(number, 1000)
        if not hundreds:
            return _CZECH_TIMES[thousands] + "tisící"
        return f"{cardinal(number - hundreds, 'cs')} " * (thousands > 0) + _CZECH_TIMES[hundreds // 100] + "stý"
    return " ".join(filter(None, [cardinal(number - rest, "cs"), *words]))


_ORDINALS: dict[str, Callable[[int, str], str]] = {
    "cs": lambda number, form: _slavic(_czech_ordinal(number), form, "cs"),
    "pl": lambda number, form: _slavic(str(num2words(number, lang="pl", to="ordinal")), form, "pl"),
    "ru": _russian_ordinal,
    "tr": _turkish_ordinal,
    "de": lambda number, form: str(num2words(number, lang="de", to="ordinal")) + form,
    "fr": _french_ordinal,
    **{code: partial(_romance_ordinal, language=code) for code in ("es", "it", "pt")},
}


def _slavic(masculine: str, form: str, language: str) -> str:
    def inflected(match: re.Match[str]) -> str:
        return vocabulary(language).adjectives[match[0]].get(form, match[0])

    return re.sub(r"(?:ý|í|(?<![e])y|(?<=dru)gi|(?<=trze)ci)\b", inflected, masculine)


def _chinese(number: int, *, before_noun: bool) -> str:
    if number == 2 and before_noun:
        return "两"
    if number == 0:
        return "零"
    parts: list[str] = []
    for place, group in enumerate(reversed(re.findall(r"\d{1,4}(?=(?:\d{4})*$)", str(number)))):
        if int(group):
            parts.append(_chinese_group(group) + _HAN_GROUPS[place])
        elif parts and not parts[-1].startswith("零"):
            parts.append("零")
    said = "".join(reversed(parts)).rstrip("零").lstrip("零")
    return said.removeprefix("一") if said.startswith("一十") else said


def _chinese_group(group: str) -> str:
    said = ""
    for place, digit in zip(range(len(group) - 1, -1, -1), group, strict=True):
        if digit != "0":
            said += _HAN_DIGITS[int(digit)] + ("", "十", "百", "千")[place]
        elif not said.endswith("零"):
            said += "零"
    return said.rstrip("零")


def korean_count(number: int) -> str:
    """1 to 99 as things and hours are counted."""
    tens, ones = _NATIVE_KOREAN_TENS[number // 10], _NATIVE_KOREAN[number % 10]
    return "스무" if number == 20 else tens + ones
