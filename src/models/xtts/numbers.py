"""Numbers and signs in a form that coqui-tts's cleaners say in words, in every language.

The cleaners stop at numbers that num2words cannot say (Czech ordinals, 30 digits, anything in Hindi), name the wrong
currency (riyals for euros in Arabic), know no `€` and no minus, read `1,234,567` as a decimal where points group
digits, and drop leading zeros. `rewritten` goes before them; `words` stands in for num2words.
"""

import re
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from num2words import num2words


class Names(NamedTuple):
    """How a language says signs that the cleaners do not say."""

    point: str
    minus: str
    euro: str
    yen: str
    rupee: str


NAMES = {
    "en": Names("point", "minus", "euros", "yen", "rupees"),
    "es": Names("coma", "menos", "euros", "yenes", "rupias"),
    "fr": Names("virgule", "moins", "euros", "yens", "roupies"),
    "de": Names("komma", "minus", "euro", "yen", "rupien"),
    "it": Names("virgola", "meno", "euro", "yen", "rupie"),
    "pt": Names("vírgula", "menos", "euros", "ienes", "rúpias"),
    "pl": Names("przecinek", "minus", "euro", "jenów", "rupii"),
    "tr": Names("virgül", "eksi", "euro", "yen", "rupi"),
    "ru": Names("запятая", "минус", "евро", "иен", "рупий"),
    "nl": Names("komma", "min", "euro", "yen", "roepies"),
    "cs": Names("celá", "minus", "euro", "jenů", "rupií"),
    "ar": Names("فاصلة", "ناقص", "يورو", "ين", "روبية"),
    "zh": Names("点", "负", "欧元", "元", "卢比"),
    "hu": Names("egész", "mínusz", "euró", "jen", "rúpia"),
    "ko": Names("점", "마이너스", "유로", "엔", "루피"),
    "ja": Names("点", "マイナス", "ユーロ", "円", "ルピー"),
    "hi": Names("दशमलव", "माइनस", "यूरो", "येन", "रुपये"),
}

_SAYS_CURRENCY = {
    "$": frozenset({"en", "es", "fr", "de", "it", "pt", "pl", "ru", "nl", "ko"}),
    "£": frozenset({"en", "es", "fr", "de", "it", "pt", "nl"}),
    "€": frozenset({"en", "es", "fr", "de", "it", "pt", "pl", "ru", "nl", "cs", "hu"}),
}
"""Where num2words has the currency, under its name in that language."""

_COMMA_GROUPS = frozenset({"en", "ru", "ar", "zh", "ja", "ko", "hi"})
"""`1,234` is a thousand and more; elsewhere `1.234` is. For Russian this is the cleaners' choice."""

_SAYS_NO_DECIMALS = frozenset({"ar", "tr", "hi"})
_ORDINAL_POINT = frozenset({"de", "cs", "tr", "hu"})
"""Where the cleaners take a number before a point for an ordinal, also at the end of a sentence."""

_OTHER_SIGNS = {
    "zh": {"%": "百分之", "&": "和", "@": "在", "#": "号", "$": "美元", "£": "英镑", "°": "度", "+": "加", "'": ""},
    "ja": {
        "%": "パーセント",
        "&": "アンド",
        "@": "アット",
        "#": "シャープ",
        "$": "ドル",
        "£": "ポンド",
        "°": "度",
        "+": "プラス",
    },
}
"""Japanese text meets none of the cleaners, and those of Chinese take signs for commas."""

_HINDI_DIGITS = ("शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ")

_MAX_INTEGER = 15
"""Digits of a number that is said as one; longer ones are account numbers and the like, said digit by digit."""
_MAX_FRACTION = 4

_NUMBER = r"[0-9]+(?:[.,][0-9]+)*"
_GROUPING_SPACE = re.compile("(?<=[0-9])[\u00a0\u2009\u202f'](?=[0-9]{3}(?![0-9]))")
_AMOUNT = re.compile(rf"(?P<before>[€$£¥₹])\s?(?P<amount>{_NUMBER})|(?P<number>{_NUMBER})\s?(?P<after>[€$£¥₹])")
_SEPARATED = re.compile(r"(?<![0-9.,])[0-9]+(?:[.,][0-9]+)+(?![0-9])")
_MINUS = re.compile(r"(?<![^\s(])[-−](?=[€$£¥₹]?[0-9])")
_CODE = re.compile(rf"(?<![0-9.,:])0[0-9]{{2,}}(?![.,:]?[0-9])|[0-9]{{{_MAX_INTEGER + 1},}}")
_LAST_POINT = re.compile(r"(?<=[0-9])\.(?=\s*$)")
_PERCENT = re.compile(rf"({_NUMBER})\s*%")


def rewritten(text: str, language: str) -> str:
    """`text` with numbers and signs as the cleaners of `language` can say them. Digits in it are ASCII."""
    names = NAMES[language]
    text = _GROUPING_SPACE.sub("", text)
    text = _MINUS.sub(f" {names.minus} ", text)
    text = _AMOUNT.sub(partial(_amount, language=language), text)
    text = _SEPARATED.sub(partial(_separated, language=language), text)
    text = _CODE.sub(lambda match: " ".join(match[0]), text)
    if language in _ORDINAL_POINT:
        text = _LAST_POINT.sub(" .", text)
    if language == "zh":
        text = _PERCENT.sub(r"百分之\1", text)
    for sign, name in _OTHER_SIGNS.get(language, {}).items():
        text = text.replace(sign, name)
    for sign, name in _unsaid(language).items():
        # A € that stands by its number is the cleaners' to say, where they can.
        pattern = rf"(?<![0-9]){sign}" if language in _SAYS_CURRENCY.get(sign, ()) else sign
        text = re.sub(pattern, partial(_apart, name), text)
    if language == "ja":
        text = re.sub(r"[0-9]+(?:\.[0-9]+)?", lambda match: words(_value(match[0]), lang="ja"), text)
    return text


def words(number: float, *, ordinal: bool = False, lang: str = "en", **options: str) -> str:
    """As num2words; a cardinal where it has no ordinal, and digit by digit where it cannot say the number."""
    try:
        if lang != "hi":
            return str(num2words(number, ordinal=ordinal, lang=lang, **options))
    except (ArithmeticError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError):
        if ordinal:
            return words(number, lang=lang)
    return " ".join(_digit(character, lang) for character in format(Decimal(repr(number)), "f"))


def _digit(character: str, language: str) -> str:
    if not character.isdigit():
        return {"-": NAMES[language].minus}.get(character, NAMES[language].point)
    return _HINDI_DIGITS[int(character)] if language == "hi" else str(num2words(int(character), lang=language))


def _value(digits: str) -> float:
    return float(digits) if "." in digits else int(digits)


def _unsaid(language: str) -> dict[str, str]:
    names = NAMES[language]
    return {"€": names.euro, "¥": names.yen, "₹": names.rupee}


def _amount(match: re.Match[str], language: str) -> str:
    """Digits with the sign after them where the cleaners can say both, else the sign apart, to be said alone."""
    number = match["amount"] or match["number"]
    sign = match["before"] or match["after"]
    parts = _parts(number, language)
    if (
        language not in _SAYS_CURRENCY.get(sign, ())
        or parts is None
        or len(parts[0]) > _MAX_INTEGER
        or len(parts[1]) > 2
    ):
        return _apart(f"{number} {sign}", match)
    return _apart(f"{_decimal(*parts, language)}{sign}", match)


def _apart(text: str, match: re.Match[str]) -> str:
    """`text` in the place of the match, with a space where a letter or a digit would touch it."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return f"{' ' if before.isalnum() else ''}{text}{' ' if after.isalnum() else ''}"


def _separated(match: re.Match[str], language: str) -> str:
    """Without what groups digits, and with the decimal sign of the language, or its name."""
    parts = _parts(match[0], language)
    if parts is None:  # a date, a version, an address: number after number
        return re.sub("[.,]", r"\g<0> ", match[0])
    integer, fraction = parts
    if not fraction:
        return integer
    if language not in _SAYS_NO_DECIMALS and len(fraction) <= _MAX_FRACTION and len(integer) <= _MAX_INTEGER - 3:
        return _decimal(integer, fraction, language)
    as_one = language in _SAYS_NO_DECIMALS and len(fraction) <= 3 and fraction[0] != "0"
    return f"{integer} {NAMES[language].point} {fraction if as_one else ' '.join(fraction)}"


def _decimal(integer: str, fraction: str, language: str) -> str:
    return integer + ("." if language in _COMMA_GROUPS else ",") + fraction if fraction else integer


def _parts(number: str, language: str) -> tuple[str, str] | None:
    """Digits before and after the decimal sign. None when the separators make no number."""
    groups, signs = re.split("[.,]", number), re.findall("[.,]", number)
    if not signs:
        return number, ""
    *grouping, last = signs
    grouped = len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:-1])
    if len(signs) == 1:
        thousands = len(groups[0]) <= 3 and len(groups[1]) == 3 and last == ("," if language in _COMMA_GROUPS else ".")
        return ("".join(groups), "") if thousands else (groups[0], groups[1])
    if not grouped or len(set(grouping)) > 1:
        return None
    if last != grouping[0]:
        return "".join(groups[:-1]), groups[-1]
    return ("".join(groups), "") if len(groups[-1]) == 3 else None
