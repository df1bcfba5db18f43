"""Amounts: money, measures and percent, with names and plural forms from CLDR."""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from functools import cache, partial

from babel import Locale
from babel.numbers import format_decimal, get_currency_name, get_currency_symbol
from babel.units import format_unit

from src.services.spoken_text.characters import LETTERS
from src.services.spoken_text.numbers import NUMBER, cardinal, gender_of, korean_count, parse, say
from src.services.spoken_text.ordinals import word_before
from src.services.spoken_text.vocabulary import Vocabulary, shared, vocabulary

CODES = frozenset(
    """EUR USD GBP CHF JPY CNY RUB TRY KRW SAR BRL PLN CZK HUF INR CAD AUD NZD SEK NOK DKK MXN ARS ZAR ILS AED EGP KWD
    QAR JOD IQD DZD MAD TND LBP SYP OMR BHD YER LYD SDG HKD SGD TWD COP CLP PEN THB UAH RON BGN XOF XAF""".split()  # noqa: SIM905
)


def _symbols(language: str) -> dict[str, str]:
    """Codes of CLDR's symbols: `MX$`, `ر.س`. One of letters alone is no symbol, but for those of the vocabulary."""
    found = {
        get_currency_symbol(code, language).strip("\u200f").rstrip(".").replace("\u202f", " "): code
        for code in sorted(CODES)
    }
    return {symbol: code for symbol, code in found.items() if not symbol.isalpha()}


_SIGNS = _symbols("ar") | _symbols("fr") | _symbols("en") | shared("currency_signs")
_POINTED = re.compile("|".join(re.escape(sign) + r"\.?" for sign in _SIGNS if "." in sign[:-1]))
_MAGNITUDES = (
    "thousand|million|billion|trillion|mille|millions?|milliards?|mil millones|mila?|"
    "millón|millones|milhão|milhões|bilhão|bilhões|"
    "Millionen|Million|Milliarden?|Mio\\.|Mrd\\.|milioni|milione|miliardi|miliardo|tys\\.|mln|mld|тыс\\.|млн|млрд|"
    "тысяч[аи]?|миллион(?:а|ов)?|миллиард(?:а|ов)?|tysi[ąę]c[ea]?|tysięcy|miliard(?:y|ów|a)?|tisíce?|miliard[yu]?|miliona|miljoen|miljard|milion[yůau]?|milionów|bin|milyon|milyar|ezer|millió|milliárd|"
    "万|億|亿|만|억|مليون|مليار|ألف"
)
_THOUSANDS = frozenset(("mil", "mille", "mila"))
"""Behind these no *of* stands."""
_POWERS = {3: ("tsd", "tys"), 6: ("mln", "mio", "mn"), 9: ("mld", "mrd", "mia", "mlr")}
_SHORT = re.compile(rf"({NUMBER})\s?({'|'.join(sum(_POWERS.values(), ()))})(?!\w)\.?", re.IGNORECASE)
_UNITS = shared("units")
_RANGE = rf"{NUMBER}(?:\s?[–—-]\s?{NUMBER})?"


def _any(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_CURRENCY = rf"(?:{_any(_SIGNS)})|(?:{_any(CODES)})(?![A-Za-z])"
_MONEY = re.compile(
    rf"(?<![{LETTERS}])(?P<before>(?:{_CURRENCY}))\s?(?P<n1>{_RANGE})(?:[.,][–—-]+)?(?:\s?(?P<m1>{_MAGNITUDES})(?!\w))?"
    rf"|(?P<n2>{_RANGE})(?:[.,][–—-]+)?(?:\s?(?P<m2>{_MAGNITUDES}))?\s?(?P<after>{_CURRENCY})(?![{LETTERS}])"
)
_ALONE = re.compile(_any(sign for sign in _SIGNS if unicodedata.category(sign[-1]) == "Sc"))
UNIT = rf"(?:{_any(_UNITS)})(?:(?<=[%‰°])|(?![{LETTERS}\u0620-\u06d3]))"
_PER = re.compile(
    rf"((?:{_CURRENCY})\s?{NUMBER}|(?:{NUMBER}|{_MAGNITUDES})\s?(?:{_CURRENCY}))\s?/\s?(?:({UNIT})|(?=[^\W\d]))"
)
_MEASURE = re.compile(rf"(?P<number>{_RANGE})\s?(?P<unit>{UNIT})")


def say_amounts(text: str, language: str) -> str:
    """Money, measures and percent of a sentence in words."""
    names = vocabulary(language)
    cent = names.cents.get("USD", names.cents["any"])
    text = re.sub(r"(\d+)\s?¢", lambda m: f"{say(m[1], language, 'm')} {inflected(cent, m[1], language)}", text)
    if table := names.thousand_letters:
        letters = "|".join(table)
        short = rf"((?:[$€£]\s?){_RANGE})\s?({letters})(?![A-Za-z/])|({NUMBER})\s?({letters})(?=\s?(?:{_CURRENCY}))"
        text = re.sub(short, lambda match: f"{match[1] or match[3]} {table[match[2] or match[4]]}", text)
    text = re.sub(rf"[$]\s?({NUMBER})(?=\s?(?:{_any(CODES)})\b)", r"\1", text)
    text = re.sub(rf"([$€£])(\s?{NUMBER})\s?[–-]\s?\1\s?(?=\d)", r"\1\2–", text)
    text = _PER.sub(lambda match: f"{match[1]} {names.per} {_counted_by(match[2], language)}", text)
    if language == "it":
        text = re.sub(r"\bal (?=[aeiou])", "all'", text)
    text = _MONEY.sub(lambda match: _spaced(_money(match, language), match), text)
    text = _ALONE.sub(lambda match: f" {_currency(_iso(match[0], language), 5, language)} ", text)
    if language == "tr":  # the unit says it
        text = re.sub(r"\b[Ss]aatte (?=\d+ ?km/h)", "", text)
    return _MEASURE.sub(lambda match: _spaced(_measure(match, language), match), text)


def code_pointed_signs(text: str) -> str:
    """`ج.م` as EGP: its point ends no sentence."""
    return _POINTED.sub(lambda match: _SIGNS[match[0].removesuffix(".")], text)


def say_magnitudes(text: str, language: str) -> str:
    """`mln`, `Mrd.` and the like behind a number in CLDR's words."""
    return text if language in ("ar", "zh", "ja", "ko") else _SHORT.sub(partial(_magnitude, language=language), text)


def genitive_magnitudes(text: str, language: str) -> str:
    """do 2 milionów, from `do 2 miliony`."""
    names = vocabulary(language)
    if not names.genitive:
        return text
    before = "|".join(word for word, case in names.number_behind.items() if case == "g")
    pattern = rf"((?<!\w)(?:{before})\s[0-9]+\s)({_any(names.genitive)})(?!\w)"
    return re.sub(pattern, lambda match: match[1] + names.genitive[match[2]], text, flags=re.IGNORECASE)


def _magnitude(match: re.Match[str], language: str) -> str:
    number, zeros = match[1], str(10 ** next(power for power, names in _POWERS.items() if match[2].lower() in names))
    words = Locale(language).compact_decimal_formats["long"]
    pattern = words.get(_plural(number, language), words["other"])[zeros]
    end = "." if match[0].endswith(".") and not match.string[match.end() :].split("\n")[0].strip() else ""
    return f"{number} {str(pattern.pattern).replace('0', '').strip()}{end}"


def _plural(number: str, language: str) -> str:
    parts = parse(number.replace(" ", "").rstrip(".,"), language) or ("5", "")
    return str(Locale(language).plural_form(Decimal(".".join(filter(None, parts)))))


def _spaced(words: str, match: re.Match[str]) -> str:
    """A space where a letter or a digit would touch the words."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    space = " " if after.isalnum() and not "\u3000" <= after <= "\u9fff" else ""
    return f"{' ' if before.isalnum() else ''}{words}{space}"


def _iso(sign: str, language: str) -> str:
    return "CNY" if sign == "¥" and language == "zh" else _SIGNS.get(sign, sign)


def _money(match: re.Match[str], language: str) -> str:
    code = _iso(match["before"] or match["after"], language)
    *first, last = re.split(r"\s?[–—-]\s?", match["n1"] or match["n2"])
    genitive = _asks_genitive(match, language)
    words = _sum(last, match["m1"] or match["m2"], code, language, genitive=genitive)
    return (
        join_range([say(first[0], language, "mg" if genitive else ""), words], language)
        if first
        else _accusative(words, match, language)
    )


def _asks_genitive(match: re.Match[str], language: str) -> bool:
    """Whether the word before does: до пяти рублей, od stu złotych."""
    return vocabulary(language).number_behind.get(word_before(match)) == "g"


def _accusative(words: str, match: re.Match[str], language: str) -> str:
    """Behind a word that asks for it, one of a feminine noun differs: za jednu korunu."""
    behind, one, ending = vocabulary(language).accusative
    if word_before(match) not in behind.split():
        return words
    return re.sub(r"(?<!\w)(?:jedna|одна) (\w+)[aа](?!\w)", rf"{one} \1{ending}", words, count=1)


def _count(number: str, language: str, *, genitive: bool) -> Decimal | int:
    """What CLDR counts with: its nouns behind 1.5 are genitives, and those behind 5 are in the plural."""
    if genitive:
        return Decimal("1.5") if _plural(number, language) == "one" else 5
    integer, fraction = parse(number, language) or ("5", "")
    return Decimal(f"{integer}.{fraction}") if fraction else int(integer)


def _sum(number: str, magnitude: str | None, code: str, language: str, *, genitive: bool) -> str:
    names, parts = vocabulary(language), parse(number, language)
    if parts is None:
        return f"{say(number, language)} {_currency(code, 5, language)}"
    integer, fraction = parts[0], parts[1].rstrip("0")
    gender = _agreeing(_gender(code, language), integer, language, genitive=genitive)
    if fraction and language == "zh":
        return _glued(
            say(f"{integer}.{fraction}", language), f"{magnitude or ''}{_currency(code, 5, language)}", language
        )
    if magnitude or len(integer) > 15 or len(fraction) > 2:
        value = say(number, language, gender_of(magnitude, number, language) + gender[1:] if magnitude else gender)
        words = f"{value}{'' if magnitude == 'mila' else ' '}{magnitude}" if magnitude else value
        large = bool(magnitude) and magnitude not in _THOUSANDS
        return _glued(words, _linked(_currency(code, 5, language), names, large=large), language)
    count = int(integer)
    large = count >= 1_000_000 and count % 1_000_000 == 0
    noun = _linked(_currency(code, _count(integer, language, genitive=genitive), language), names, large=large)
    if fraction and not count:
        cents = _cents(fraction.ljust(2, "0"), code, language, genitive=genitive)
        return cents.removeprefix(f" {names.link}").lstrip()
    if language == "ar" and count == 1:
        return f"{noun} {say(integer, language)}"
    words = _glued(say(integer, language, gender), noun, language)
    return f"{words}{_cents(fraction.ljust(2, '0'), code, language, genitive=genitive)}" if fraction else words


def _cents(fraction: str, code: str, language: str, *, genitive: bool) -> str:
    names, count = vocabulary(language), int(fraction)
    forms = names.cents.get(code, names.cents["any"]).split("|")
    form = forms[-1] if genitive else inflected("|".join(forms), fraction, language)
    gender = "f" if language == "ru" and code == "RUB" else "m"
    gender = _agreeing(gender, fraction, language, genitive=genitive)
    cents = _glued(cardinal(count, language, gender), form, language)
    return cents if language == "ja" else f" {f'{names.link} ' if names.link else ''}{cents}"


def _glued(number: str, noun: str, language: str) -> str:
    return number + noun if language in ("zh", "ja") else f"{number} {noun}"


def _linked(currency: str, names: Vocabulary, *, large: bool) -> str:
    """A million *of* euros, where the language says so."""
    if not (large and names.of):
        return currency
    return f"d'{currency}" if names.of == "de" and names.hours and currency[0] in "aeiou" else f"{names.of} {currency}"


_DIGITS = re.compile(r"-?\d(?:[\d.,\u00a0\u202f' ]*\d)?")
_COUNTRY = re.compile("(?<!злот)(?:ий|ый|ая|ие|ые|их|ых|ого|ой|США|стерлингов)$")


@cache
def _currency(code: str, count: Decimal | int, language: str) -> str:
    """Its name as people say it: without the country that CLDR's names have."""
    name = get_currency_name(code, count, language).replace("USA-", "").replace("US-", "").replace("Saudi-", "")
    kind = vocabulary(language).noun
    if kind == "russian":
        words = [word for word in name.split() if not _COUNTRY.search(word)]
        return words[0] if words else name
    if kind == "whole":
        return vocabulary(language).currencies.get(name, name.split()[-1])
    word = name.split()[0 if kind == "first" else -1]
    if language in ("en", "pt", "tr", "fr"):
        word = word.lower()
    return vocabulary(language).currencies.get(word, word)


@cache
def _gender(code: str, language: str) -> str:
    names = vocabulary(language)
    one = _currency(code, 1, language)
    if names.feminine:
        return "f" if one.split()[-1] in names.feminine or one.rstrip("s") in names.feminine else "m"
    return "f" if one.endswith(("a", "а", "я")) else "m"


def _agreeing(gender: str, number: str, language: str, *, genitive: bool) -> str:
    """Czech numbers agree with what is counted only where that agrees with them: dvě koruny, dvacet dva korun."""
    if genitive:
        return gender + "g"
    return "" if language == "cs" and _plural(number, language) not in ("one", "few") else gender


def _measure(match: re.Match[str], language: str) -> str:
    number, unit = match["number"], match["unit"]
    *first, last = re.split(r"\s?[–—-]\s?", number)
    parts = parse(last, language)
    if parts is None:
        return f"{say(last, language)} {unit}"
    declined = not parts[1] or (language == "ru" and parts == ("1", "5"))
    genitive = declined and _asks_genitive(match, language)
    gender = _agreeing(_gender_of_unit(unit, language), last, language, genitive=genitive)
    hours = language == "ko" and unit == "h" and not first and len(last) < 3 and last.strip("0")
    said_last = f"{korean_count(int(last))} " if hours else say(last, language, gender)
    case = "mg" if genitive else ""
    words = join_range([*(say(each, language, case) for each in first), said_last], language)
    if (unit == "%" and language in ("zh", "tr")) or (unit == "‰" and language == "zh"):  # before the number
        return f"{vocabulary(language).signs[unit]}{' ' if language == 'tr' else ''}{words}"
    if _UNITS[unit] == "speed-kilometer-per-hour" and language == "tr":
        return f"saatte {words} kilometre"
    value = _count(last, language, genitive=genitive)
    sentence = format_unit(value, _UNITS[unit], locale=language)
    if first and not re.search(r"\d", sentence):  # Arabic has a word for two of them
        sentence = format_unit(5, _UNITS[unit], locale=language)
    written = re.escape(format_decimal(value, locale=language))
    said = _plain_unit(re.sub(rf"(?<!\d){written}(?!\d)", words, sentence, count=1), language)
    return said if first else _accusative(said, match, language)


@cache
def _gender_of_unit(unit: str, language: str) -> str:
    noun = format_unit(1, _UNITS[unit], locale=language).removeprefix("1").split()[0]
    return "f" if noun.endswith(("a", "а", "я", "heure", "Stunde")) and not noun.endswith("grama") else "m"


def _counted_by(unit: str | None, language: str) -> str:
    """The unit behind *per*, in the accusative."""
    name = unit_name(unit, language) if unit else ""
    ending = {"pl": "ę", "cs": "u", "ru": "у"}.get(language, "")
    return name[:-1] + ending if ending and name.endswith(("a", "а")) else name


def unit_name(unit: str, language: str, *, half: bool = False) -> str:
    """The unit alone; `half`: in the form that stands behind a fraction."""
    count = Decimal("0.5") if half else 1
    return _plain_unit(_DIGITS.sub("", format_unit(count, _UNITS[unit], locale=language)), language).strip()


def _plain_unit(said: str, language: str) -> str:
    names = vocabulary(language)
    for name, plain in names.units.items():
        said = said.replace(name, plain)
    said = re.sub("[%٪‰]", lambda match: f" {names.signs.get(match[0], names.signs['%'])}", said)
    said = re.sub(r"\d", lambda match: str(int(match[0])), said)  # Arabic ones
    said = re.sub(r"100\s?km\b", format_unit(100, _UNITS["km"], locale=language), said)
    return said.replace("/", names.per if language == "zh" else f" {names.per} " if names.per else " ")


def join_range(ends: list[str], language: str) -> str:
    to = vocabulary(language).to
    between = to if to == "-" or language in ("zh", "ja") else f"{to} " if language == "ko" else f" {to} "
    return between.join(ends)


def inflected(forms: str, number: str, language: str) -> str:
    """That of `one|few|many|other` which stands behind a number as it is written. The last is for all that are not."""
    known = dict(zip(("one", "few", "many"), forms.split("|")[:-1], strict=False))
    return known.get(_plural(number, language), forms.rsplit("|", maxsplit=1)[-1])
