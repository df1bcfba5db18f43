"""Telephone numbers, and others of which each digit counts: cards, accounts, books."""

import re

from src.services.spoken_text.numbers import digits, say
from src.services.spoken_text.vocabulary import vocabulary

_CANDIDATE = re.compile(
    r"(?<![A-Za-zÀ-ӿ\d.,:/€$£¥-])(?:\+|\(\+?)?\d+(?:\)?(?: ?[/-] ?|[ .])?\(?\d+)*+(?![\d:]|[.,/]\d|-\d|\s?[€$£¥%₽₺₩])"
)
_DATE = re.compile(r"\d{1,2}([-/.] ?)\d{1,2}\1\d{2,4}\b(?![-/.]\d)|\d{4}([-/.] ?)\d{1,2}\2\d{1,2}\b")
_THOUSANDS = re.compile(r"\+?\d{1,3}(?:([ .])\d{3})(?:\1\d{3})*(?:-\d{1,3}(?:\1\d{3})+)?")
_CALLED = re.compile(
    r"(?:[#№]|\btel|phone|t[eé]l[eéè]fon|mobile?|\bcell|\bfax|whatsapp|handy|m[óo]vil|cellulare|celular|komórk|\bcep|тел"
    r"|мобильн|n[uúo]m+[eé]ro|number|nummer|номер|\b(?:code|código|codice|kod|kód|код)\b|\bpin\b|\bzip|邮编|QQ号|[号证]码|番号|電話|电话|手机|号码|전화|번호|هاتف|جوال|رقم"
    r"|(?P<verb>\b(?:call|dial|llam|lig|appel|chiam|dzwo|zadzwo|vol(?=ej)|звон|позвон|bel|hívj|ruf|ara)))"
    r"\w*\W{0,3}(?:(?!\d)\w{1,5}\W{1,2})?$",
    re.IGNORECASE,
)
"""What stands before a number that is called."""
_EMERGENCY = r"(?:911|999|11\d|12[0-2]|19[0-3])(?![.,:]?\d|[A-Za-zÀ-ӿ%-]|\s?[€$£%])"
_ZERO = {"ko": ("영", "공"), "ja": ("零", "ゼロ")}
"""The digit where it has another name than the number."""


def say_telephones(text: str, language: str) -> str:
    """Telephone numbers of a sentence digit by digit, in their groups."""
    if before := vocabulary(language).emergency:
        text = re.sub(rf"({before})({_EMERGENCY})", lambda match: match[1] + digits(match[2], language), text)
    return _CANDIDATE.sub(lambda match: _said(match, language), text)


def _said(match: re.Match[str], language: str) -> str:
    groups = re.findall(r"\d+", match[0])
    called = _CALLED.search(match.string[max(0, match.start() - 40) : match.start()])
    least = (7 if called["verb"] else 4) if called else 0
    if re.fullmatch(r"(?:19|20)\d\d", match[0]) or not _each_digit_counts(match[0], groups, least):
        return match[0]
    parts = [part for group in groups for part in _parts(group)]
    said = {"zh": "，", "ja": "、"}.get(language, ", ").join(
        say(part, language) if language == "fr" and len(part) == 2 else digits(part, language) for part in parts
    )
    said = said.replace(*_ZERO.get(language, ("", "")))
    return f"{vocabulary(language).signs['+']} {said}" if "+" in match[0] else said


def _each_digit_counts(written: str, groups: list[str], least: int) -> bool:
    """`least`: digits of a number that is called, 0 where none is."""
    count, longest, zero = sum(map(len, groups)), max(map(len, groups)), groups[0][0] == "0"
    if _DATE.match(written) or count > 34:
        return False
    grouped = _THOUSANDS.fullmatch(written) is not None
    if count >= (7 if "+" in written else least or (10 if len(groups) == 1 else 99)):
        return not (written.endswith("000") and (grouped or len(groups) == 1))
    if re.search("[./]", written):
        return (zero and count >= 9) or re.fullmatch(r"\d{3}\.\d{3}\.\d{4}", written) is not None
    if grouped:
        return False
    if re.search("[(-]", written):
        american = (longest, count) == (4, 7) and not written.endswith("000")
        long = count >= 7 and longest >= 3 if len(groups) > 2 else count >= 9 and longest >= 7
        return (zero and count >= 7) or long or american
    return count >= 9 and (zero or (len(groups) > 2 and longest > 2))


def _parts(group: str) -> list[str]:
    """A long group in short ones."""
    size = len(group) if len(group) <= 5 else 3 if len(group) in (6, 9) else 4
    return re.findall(rf"\d{{1,{size}}}(?=(?:\d{{{size}}})*$)", group)
