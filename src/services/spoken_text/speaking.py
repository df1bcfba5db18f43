"""The steps from a written text to a spoken one."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from src.services.spoken_text.amounts import (
    UNIT,
    code_pointed_signs,
    genitive_magnitudes,
    join_range,
    say_amounts,
    say_magnitudes,
    unit_name,
)
from src.services.spoken_text.characters import LETTERS, readable, sayable
from src.services.spoken_text.compounds import say_compounds
from src.services.spoken_text.names import (
    say_abbreviations,
    say_addresses,
    say_capitals,
    unshouted,
)
from src.services.spoken_text.numbers import NUMBER, digits, gender_of, parse, say
from src.services.spoken_text.ordinals import word_before
from src.services.spoken_text.romans import say_romans
from src.services.spoken_text.shorthand import east_asian, feet, fold, hungarian_times, powers, rates, unit_endings
from src.services.spoken_text.telephones import say_telephones
from src.services.spoken_text.times import YEAR, say_times, say_years
from src.services.spoken_text.vocabulary import Vocabulary, vocabulary
from src.utils.text import split_sentences

_LONG_RUN = re.compile(r"\d{20}(?=\d{20})")
"""More than any number that is meant has: said digit by digit, and in parts, as the rules below take long for it."""
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_NAMED_FRACTIONS = tuple(_VULGAR.values())
_FRACTION = re.compile(
    rf"(?:(?<![\d.,/])(\d+)\s)?(?<![\d.,/])(\d{{1,3}}(?:[.,]\d{{1,2}})?/\d{{1,3}})(?![\d/])(?:\s*({UNIT}))?"
)
_SPACES = "\u00a0\u2009\u202f"
_RANGE = re.compile(rf"(?<![A-Za-z\d.,-])({NUMBER})(?:\s?[–—]\s?|-)({NUMBER})(?![\d-])")
_RANGE_WAVE = re.compile("(?<=[0-9日月年時分点天号시분])\\s?[~〜～]\\s?(?=[0-9])")
_EMOTICON = re.compile(r"(?<!\S)(?:[:;=]['^]?-?[DPpOoSsXx*]|[xX]D+|<3+)(?=\s|$|[.,!?])")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")
_PRICE_DASH = re.compile(r"(?<=\d)[.,](?:[–—]|--?)(?!\d)")
"""As in 5000.–"""
_MINUS = re.compile(rf"(?<![{LETTERS}\d.,)%-])[-−](?=[€$£¥]?\d)")


@dataclass(frozen=True, slots=True)
class SpokenText:
    """`sentences` in letters and marks of pauses alone, each with something to say. `unsaid`: what was left out."""

    sentences: tuple[str, ...]
    unsaid: tuple[str, ...]


def spoken(text: str, language: str) -> SpokenText:
    """A text of one of the service's languages as a person would read it out."""
    unsaid: dict[str, None] = {}
    text = _LONG_RUN.sub(r"\g<0>, ", text)
    to = join_range(["", ""], language)
    text = re.sub("(?<=[%日月年時分点天号時월일년명개원])\\s?[~〜～]\\s?(?=[0-9])", to, text)
    if language in ("zh", "ja", "ko"):  # 3℃~5℃
        text = re.sub(r"(\d\s?[^\d\s~〜～]{1,4})\s?[~〜～]\s?(?=\d)", rf"\1{to}", text)
    text = re.sub(r"(?<=[\d)])\s?−\s?(?=[\d(])", f" {vocabulary(language).minus} ", text)
    text = re.sub(r"(?<=\d)(\s?)º(?=[CF]\b)", r"\1°", re.sub("(?<=[.,;:!?])\u200b", " ", text))
    text = re.sub(r"(?<![\w.])\.(?=\d)", "0.", text) if language == "en" else text
    text = text.replace("〒", "郵便番号") if language == "ja" else text
    text = feet(powers(_RANGE_WAVE.sub("–", text), language), language)
    plain = code_pointed_signs(_PRICE_DASH.sub("", readable(text, unsaid)))
    plain = say_magnitudes(say_abbreviations(say_romans(_TAG.sub(" ", plain), language), language), language)
    said = (_sentence(sentence, language, unsaid) for sentence in split_sentences(plain, language))
    return SpokenText(tuple(sentence for sentence in said if any(map(str.isalnum, sentence))), tuple(unsaid))


def _sentence(text: str, language: str, unsaid: dict[str, None]) -> str:
    names = vocabulary(language)
    text = say_addresses(text, language)
    text = _markup(unshouted(text, language), names)
    text = re.sub(r"(?<=\d)\s?[xх]\s?(?=\d)", " × ", text)
    text = rates(text, language)
    text = re.sub(r"(\d)\s?[x×](?!\w|\s?\d)", lambda match: fold(match, language), text)
    if language == "de":  # Schüler:innen
        text = re.sub(r"(?<=[a-zäöüß])[:*_/]-?(?=in(?:nen)?\b)", " ", text)
    text = say_telephones(text, language)
    text = _without_grouping_spaces(text, names)
    if language in ("zh", "ja"):
        text = east_asian(text, language)
    text = say_times(text, language)
    text = _fractions(text, language)
    text = _MINUS.sub(f"{names.minus} ", text)
    if language in ("ja", "ko"):  # said behind
        text = re.sub(rf"(?<!\d)([≤≥])\s?({NUMBER}(?:\s?{UNIT}|[^\s\d,.、。]?))", r"\2 \1", text)
    if language == "hu":
        text = re.sub(r"(\d+)\s?[×xX*]\s?(?=\d)", lambda match: f"{hungarian_times(int(match[1]))} ", text)
    text = unit_endings(say_amounts(genitive_magnitudes(text, language), language), language)
    text = _ranges(text, language)
    text = _signs(text, names)
    if language not in ("zh", "ja", "ko"):  # London2024
        text = re.sub(r"(?<=[^\W\d_])(?=\d)", " ", text)
    text = say_years(text, language)
    text = _numbers(text, language)
    text = say_capitals(text, language)
    return sayable(text, language, unsaid)


def _markup(text: str, names: Vocabulary) -> str:
    """What decorates a text goes; `C#`, `#1`, `#topic` and the keys of a telephone are said."""
    text = _EMOTICON.sub(" ", text)
    text = re.sub(r"[*_=~#^`-]{3,}|(?:[*#-] ){2,}[*#-]|\*\*|__|^\s*[#>]+\s+|^\s*[-*+]\s+", " ", text)
    keys = {"#": names.signs["pound"], "*": names.signs["star"]}
    dialled = r"(?<![\w*])\*(\d+)(?=#|(?!\S))"
    text = re.sub(dialled, lambda match: f"{keys['*']} {' '.join(match[1])}", text)
    alone = r"(?<![^\s\d\u3000-\u9fff])[#*](?=[.,;:!?)。！？，、]|\s*$|\s+[^\W\d]|[键を或]|キー)"
    text = re.sub(alone, lambda match: f" {keys[match[0]]} ", text)
    text = re.sub(r"(?<![^\W_])([CFcf])#(?!\w)", rf"\1 {names.signs['sharp']}", text)
    for sign, meant in (("~", "≈"), ("<", "<"), (">", ">")):
        text = re.sub(rf"(?<![\w<>~]){sign}\s?(?=[€$£-]?\d)", f"{names.signs[meant]} ", text)
    text = text.replace("§§", "§")
    text = re.sub(r"#\s?(?=\d)", f"{names.signs['#']} ", text)
    return re.sub(r"#(?=[^\W\d_])", f"{names.signs['hashtag']} ", text)


def _without_grouping_spaces(text: str, names: Vocabulary) -> str:
    """Numbers without the spaces between groups: plain ones where the language writes so, or where there are two."""
    before, group, after = r"(?<![\d.,+])(?<![\d+] )", r"[1-9]\d{0,2}", r"(?!\s?\d)"
    narrow = _SPACES + "'" + (" " if names.plain_space else "")
    sure = r"(?=[.,]\d|\s?[€$£¥₽₺₩₹]|\s?(?:zł|Kč|Ft)\b)"
    for spaces, groups in ((narrow, r"\d{3})+"), (" ", r"\d{3}){2,}"), (" ", r"\d{3})+" + sure), (" ", r"0\d\d)+")):
        pattern = rf"{before}{group}(?:[{spaces}]{groups}{after}"
        text = re.sub(pattern, lambda match: re.sub(r"[\s']", "", match[0]), text)
    return re.sub(f"[{_SPACES}]", " ", text)


def _fractions(text: str, language: str) -> str:
    for sign, written in _VULGAR.items():
        text = re.sub(rf"(?<=\d)\s?{sign}", f" {written}", text).replace(sign, f" {written} ")
    return _FRACTION.sub(lambda match: _fraction_of(match, language), re.sub(r"(?<=\d/\d) +(?=[.,;:!?])", "", text))


def _fraction_of(match: re.Match[str], language: str) -> str:
    said, names = _fraction(match, language), vocabulary(language)
    if not match[3]:
        return said
    unit = unit_name(match[3], language, half=language in ("pl", "cs", "ru"))
    if names.of and not match[1] and match[2] != "1/2":  # three quarters of a litre
        return f"{said} d'{unit}" if language == "fr" and unit[0] in "aeiouh" else f"{said} {names.of} {unit}"
    return said + ("" if language in ("zh", "ja") else " ") + unit


def _fraction(match: re.Match[str], language: str) -> str:
    names, (whole, written) = vocabulary(language), match.groups()[:2]
    if written in ("24/7", "7/24"):
        return " ".join(filter(None, [whole and say(whole, language), names.shop]))
    if written in _NAMED_FRACTIONS:
        said = names.fractions[_NAMED_FRACTIONS.index(written)]
    else:
        above, below = written.split("/")
        over = (names.score if "." in above or "," in above or below in ("10", "20", "100") else "") or names.over
        over = over if language in ("zh", "ja") else f" {over} "
        said = f"{say(above, language)}{over}{say(below, language)}"
    return _mixed(whole, said, language, half=written == "1/2") if whole else said


def _mixed(whole: str, fraction: str, language: str, *, half: bool) -> str:
    """A whole number and a fraction: one and a half."""
    names = vocabulary(language)
    if half and whole == "1" and names.one_and_half:
        return names.one_and_half.split("|")[0]
    if half and language == "de":
        return say(whole, language, "m") + names.mixed_half
    if half and names.mixed_half:
        return f"{say(whole, language)} {names.mixed_half}"
    if language in ("zh", "ja", "ko"):
        return f"{say(whole, language)}{names.mixed}{' ' if language == 'ko' else ''}{fraction}"
    return " ".join(filter(None, [say(whole, language, "m" if language == "hu" else ""), names.mixed, fraction]))


def _ranges(text: str, language: str) -> str:
    text = re.sub(r"(?<=\d)\s?[–—]\s?(?=\d)", "–", text)
    return _RANGE.sub(lambda match: _range(match, language), text)


def _range(match: re.Match[str], language: str) -> str:
    first, last = match[1], match[2]
    hyphen = "–" not in match[0] and "—" not in match[0]
    values = [Decimal(".".join(parts)) if (parts := parse(end, language)) else None for end in (first, last)]
    if hyphen and (values[0] is None or values[1] is None or values[0] >= values[1]):
        return f"{first} {last}"
    case = "mg" if vocabulary(language).number_behind.get(word_before(match)) == "g" else ""
    return join_range([_bare(end, language, case) for end in (first, last)], language)


def _bare(number: str, language: str, case: str) -> str:
    year = len(number) == 4 and language in ("en", "de", "nl")
    return say_years(number, language) if year else say(number, language, case)


def _signs(text: str, names: Vocabulary) -> str:
    signs = names.signs
    text = re.sub(r"(?<=\d)\s?[*xх]\s?(?=\d)", " × ", text)
    text = re.sub(r"(?<=\w)\s?\*\s?(?=\w)", " ", text)
    text = re.sub(r"(?<=[\w)])\s*=\s*(?=[\w(-])", f" {signs['=']} ", text)
    text = re.sub(r"(?<=\d)\s*([<>])\s*(?=\d)", lambda match: f" {signs[match[1]]} ", text)
    spoken_signs = "+×÷≤≥±≈&@№§²³%"
    text = re.sub(f"[{spoken_signs}]", lambda match: f" {signs[match[0]]} ", text)
    return re.sub(r"[/\\|_<>=~^*]", " ", text)


def _numbers(text: str, language: str) -> str:
    """The numbers that are left. Letters that touch one are parted from it, but for endings that belong to it."""
    text = say_compounds(text, language)
    if language not in ("zh", "ja"):
        letter = f"[{LETTERS}]" if language == "ko" else r"[^\W\d_]"  # Korean endings belong to the number
        text = re.sub(rf"(?<={letter})(?=\d)|(?<=\d)(?={letter})", " ", text)
    text = re.sub(rf"\+?{NUMBER}", lambda match: _number(match, language), text)
    return re.sub(r"\buna (?=[aeiou]\w)", "un'", text) if language == "it" else text


def _number(match: re.Match[str], language: str) -> str:
    number = match[0]
    if number.isdigit() and len(number) > 15:
        return digits(number, language)
    noun = re.match(
        r"\s(?!(?:de|del|di|da|do|en|et|ou|und|que|al|ao|el|il|la|le|au|aux|du|con|com|por|para|per|par|sur|bis|oder)\b)([^\W\d_]{2,})",
        match.string[match.end() :],
    )
    noun = None if noun and noun[1] in _words_of_signs(language) else noun
    gender = gender_of(noun[1], "2" if number == "1,5" else number, language) if noun else ""  # nouns as behind two
    case = vocabulary(language).number_behind.get(word_before(match))
    counted = noun and noun[1] not in vocabulary(language).number_behind
    if language in ("pl", "cs", "ru") and noun and noun[1].endswith(("mi", "ми")):  # z 2 pokojami
        case = "i"
    if case and (counted or language == "ru" or not re.fullmatch(YEAR, number)):
        gender = (gender or "m") + case
    said = say(number, language, gender)
    behind, one, _ = vocabulary(language).accusative
    if noun and noun[1][-1] in "uęую" and word_before(match) in behind.split():  # za 1 hodinu
        said = re.sub("(?:jeden|jedna|один|одна)$", one, said)
    return (
        said + "o"
        if said == "un" and noun and re.match("s[^aeiouh]|[zxy]|gn|ps", noun[1]) and language == "it"
        else said
    )


@cache
def _words_of_signs(language: str) -> frozenset[str]:
    """That are no noun behind a number: plus, equals."""
    signs = vocabulary(language).signs
    return frozenset(signs[sign].split()[0] for sign in "+×÷=<>≤≥±≈&")
