"""Times, dates and years in words."""

import re
from datetime import date

from babel.dates import format_date, format_skeleton

from src.services.spoken_text.amounts import inflected, join_range
from src.services.spoken_text.numbers import cardinal, korean_count, ordinal, year
from src.services.spoken_text.ordinals import say_ordinals, word_before
from src.services.spoken_text.vocabulary import vocabulary

_TIME = re.compile(r"(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_DATES = (
    re.compile(r"(?<![\d./-])(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?![\d-])"),
    re.compile(r"(?<![\d./-])(?P<y>\d{4})(?:/|\.\s?)(?P<m>\d{1,2})(?:/|\.\s?)(?P<d>\d{1,2})\.?(?!\d)"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d|\.\d)"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})-(?P<m>\d{1,2})-(?P<y>\d{4})(?![\d-])"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?![\d/])"),
)
_DAY_AND_MONTH = re.compile(r"(?<![\d.,])(\d{1,2})\.\s?(\d{1,2})\.(?!\d)")
_YEAR = re.compile(r"(?<![\d.,'-])(?:1[1-9]|20)\d\d(?![\d.,]\d|\d)")

_ERAS = {"م": "ميلادية", "هـ": "هجرية"}
_TURKISH_ENDS = "sıfır|bir|iki|üç|dört|beş|altı|yedi|sekiz|dokuz|on|yirmi|otuz|kırk|elli"


def say_times(text: str, language: str) -> str:
    """Times, dates and ordinals of a sentence in words. What is left of numbers is amounts and bare numbers."""
    text = _with_colons(text, language)
    text = _native(text, language)
    text = re.sub(r"(?<=:[0-5]\d)\s?[–-]\s?(?=\d{1,2}:[0-5]\d)", join_range(["", ""], language), text)
    text = re.sub(r"(:[0-5]\d)(?=[A-Za-z])", r"\1 ", text)
    text = _TIME.sub(lambda match: _time(match, language), text)
    if language == "pl":
        hour = r"(godzini?[ey]\s|\b[Oo]\s(?=\d+(?:\s?[.,!?]|$|\s(?:rano|wieczorem|w))))(\d{1,2})(?![\d:.]\d|\d)"
        text = re.sub(hour, lambda m: m[1] + ordinal(int(m[2]), "pl", "l"), text)
    if language == "hu":
        text = re.sub(r"(?<=[^\W\d_])-(?=kor\b)", "", text)
    if language == "tr":
        text = re.sub(rf"({_TURKISH_ENDS})'(?=[^\W\d_])", r"\1", text)
    for pattern in _DATES:
        text = pattern.sub(lambda match: _date(match, language), text)
    if behind := vocabulary(language).date_behind:
        day = r"(?<=\s)(\d{1,2})/(\d{1,2})(?![\d/]|\s(?:d[eiauo]|des|del|della|van|of)\b)"
        text = re.sub(day, lambda match: _slashed(match, behind, language), text)
    if language in ("de", "cs"):
        text = _DAY_AND_MONTH.sub(lambda match: _day_and_month(match[1], match[2], language) or match[0], text)
    if language == "ko":
        text = re.sub(r"(?<!\d)(6|10)(?=월)", lambda match: "유" if match[1] == "6" else "시", text)
    return say_ordinals(text, language)


def say_years(text: str, language: str) -> str:
    """Bare numbers of four digits as years, where years are said otherwise than numbers."""
    if language not in ("en", "de", "nl"):
        return text
    if language == "en":
        text = re.sub(r"(?<![\d.,])((?:1[1-9]|20)\d0|'?[2-9]0)'?s\b", lambda match: _decade(match[1].lstrip("'")), text)
    return _YEAR.sub(lambda match: year(int(match[0]), language), text)


def _decade(number: str) -> str:
    words = year(int(number), "en") if len(number) == 4 else cardinal(int(number), "en")
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _with_colons(text: str, language: str) -> str:
    """15.30 uur and 15h30 as 15:30."""
    names = vocabulary(language)
    clock = r"([01]?\d|2[0-4])"
    if language in ("fr", "pt", "es", "it", "nl"):
        text = re.sub(
            rf"(?<![\d.,]){clock}\s?{'u' if language == 'nl' else 'h'}\s?([0-5]\d)(?:\s?min\b)?(?!\d)", r"\1:\2", text
        )
    if names.hours_after:
        text = re.sub(rf"(?<![\d.,:]){clock}\.([0-5]\d)(?=\s?(?:{names.hours_after})(?!\w))", r"\1:\2", text)
        text = re.sub(rf"(?<=:[0-5]\d)\s?(?:{names.hours_after})(?![^\W_])", _kept_half_of_day, text)
    if names.hours_before:
        before = rf"((?<!\w)(?:{names.hours_before})\s)"
        text = re.sub(
            rf"{before}{clock}\.([0-5]\d)(?![\d.,]\d|\d|\s?[%€$£]|\s(?:[Ee]uro|[Dd]ollar|Meter|Prozent|Kilo))",
            r"\1\2:\3",
            text,
            flags=re.IGNORECASE,
        )
    if language in ("hu", "tr"):
        text = re.sub(rf"(?<![\d.,]){clock}\.([0-5]\d)(?=[-'][a-zıöüçşğé])", r"\1:\2", text)
    return text


def _kept_half_of_day(match: re.Match[str]) -> str:
    return match[0] if "m" in match[0] else "-kor" if match[0].strip() == "órakor" else ""


def _native(text: str, language: str) -> str:
    """Counting that is other than the numbers: Chinese years and pairs, Korean hours and things."""
    if language == "zh":
        text = re.sub(r"(?<!\d)(\d{4})年", lambda m: "".join("零一二三四五六七八九"[int(d)] for d in m[1]) + "年", text)
        return re.sub(r"(?<![\d.,:第])2(?=[个点次本只条位张块杯瓶天周])", "两", text)
    if language == "ar":
        return re.sub(
            r"(?<![\d.,])((?:19|20)\d\d(?=\s?م)|[12]\d{3}(?=م|هـ))\s?(م|هـ)(?!\w)",
            lambda m: f"{m[1]} {_ERAS[m[2]]}",
            text,
        )
    if language == "ko":
        counted = r"(?<![\d.,:/½제])(?:([1-9]\d?)\s?[–-]\s?)?([1-9]\d?)\s?(시간?|번째|개(?!월)|명|살|마리|권|잔|병|장)"
        return re.sub(counted, _korean_count, text)
    return text


def _korean_count(match: re.Match[str]) -> str:
    first = f"{korean_count(int(match[1]))}에서 " if match[1] else ""
    return f"{first}{'첫' if match[0] == '1번째' else korean_count(int(match[2]))} {match[3]}"


def _time(match: re.Match[str], language: str) -> str:
    """Seconds are left to the measures."""
    return _hours_and_minutes(match, language) + (f" {int(match[3])} sec" if match[3] else "")


def _hours_and_minutes(match: re.Match[str], language: str) -> str:
    names, hour, minute = vocabulary(language), int(match[1]), int(match[2])
    said = _hour(hour, match, language)
    word = inflected(names.hours, str(hour), language)
    if minute == 0:
        after = match.string[match.end() :].lstrip().lower()
        pattern = "{h}" if after.startswith(("a.m", "p.m", "am", "pm", "a m", "p m", "a eme", "pe eme")) else names.hour
        return pattern.format(h=said, hours=word)
    return names.time.format(h=said, m=_minute(minute, language), hours=word)


def _hour(hour: int, match: re.Match[str], language: str) -> str:
    if language == "ko" and 1 <= hour <= 12:
        return korean_count(hour)
    if language == "pl":
        before = word_before(match)
        return ordinal(hour, "pl", "l" if before in ("o", "od", "do", "po", "godzinie", "godziny") else "f")
    feminine = vocabulary(language).hour_feminine or language == "fr"
    gender = "f" if feminine else "m" if language in ("de", "zh", "hu") else ""
    return cardinal(hour, language, gender)


def _minute(minute: int, language: str) -> str:
    words = cardinal(minute, language)
    if minute < 10 and language in ("en", "ru", "pl", "cs", "zh"):
        zero = "oh" if language == "en" else cardinal(0, language)
        return zero + words if language == "zh" else f"{zero} {words}"
    return words


def _date(match: re.Match[str], language: str) -> str:
    day, month, year_ = int(match["d"]), int(match["m"]), int(match["y"])
    if month > 12 or (language == "en" and re.fullmatch(r"\d+/\d+/\d{4}", match[0]) and day <= 12):
        day, month = month, day
    try:
        return (
            format_date(date(year_, month, day), "long", locale=language)
            .replace("\u202f", " ")
            .replace("\xa0", " ")
            .replace(" г.", " г")
        )
    except ValueError:
        return match[0]


def _slashed(match: re.Match[str], behind: str, language: str) -> str:
    """3/4 behind a word that says that it is a date: the day first, but in English."""
    day, month = (match[2], match[1]) if language == "en" else (match[1], match[2])
    return _day_and_month(day, month, language) or match[0] if re.fullmatch(behind, word_before(match)) else match[0]


def _day_and_month(day: str, month: str, language: str) -> str:
    """Empty for what is no date."""
    try:
        return format_skeleton("MMMMd", date(2000, int(month), int(day)), locale=language)
    except ValueError:
        return ""
