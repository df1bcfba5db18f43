"""Times, dates and years in words."""

import re
from datetime import date

from babel import Locale
from babel.dates import format_date, format_skeleton

from src.services.spoken_text.amounts import inflected, join_range
from src.services.spoken_text.numbers import cardinal, korean_count, ordinal, year
from src.services.spoken_text.ordinals import say_ordinals, word_before
from src.services.spoken_text.vocabulary import vocabulary

_TIME = re.compile(r"(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_SCORE = re.compile(r"(?<![\d:.,])(\d{1,3}):(\d{1,4})(?![\d:])")
_DATES = (
    re.compile(r"(?<![\d./-])(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?![\d-])"),
    re.compile(r"(?<![\d./-])(?P<y>\d{4})(?:/|\.\s?)(?P<m>\d{1,2})(?:/|\.\s?)(?P<d>\d{1,2})\.?(?!\d)"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d|\.\d)"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})-(?P<m>\d{1,2})-(?P<y>\d{4})(?![\d-])"),
    re.compile(r"(?<![\d./-])(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?![\d/])"),
    re.compile(
        r"(?<![\d./-])(?P<d>\d{1,2})(?P<sign>[/.])(?P<m>\d{1,2})(?P=sign)(?P<y>[0-4]\d|[6-9]\d)(?![\d/]|[.,]\d)"
    ),
    re.compile(r"(?<![\d./-])(?P<d>\d\d)-(?P<m>\d\d)-(?P<y>[0-4]\d|[6-9]\d)(?![\d-])"),
)
_DAY_AND_MONTH = re.compile(r"(?<![\d.,])(\d{1,2})\.\s?(\d{1,2})\.(?!\d)")
YEAR = r"(?:1[1-9]|20)\d\d"
_YEAR = re.compile(rf"(?<![\d.,'-]){YEAR}(?![\d.,]\d|\d)")

_HALF = re.compile(r"(?<![\d.,:])(1[0-2]|0?[1-9])(?:[:.]([0-5]\d))?\s?([ap])\.?m\b\.?", re.IGNORECASE)
_HALVES = {"zh": {"am": "上午", "pm": "下午"}, "ja": {"am": "午前", "pm": "午後"}, "ko": {"am": "오전 ", "pm": "오후 "}}
_ERAS = {"م": "ميلادية", "هـ": "هجرية"}
_TURKISH_ENDS = "sıfır|bir|iki|üç|dört|beş|altı|yedi|sekiz|dokuz|on|yirmi|otuz|kırk|elli"


def say_times(text: str, language: str) -> str:
    """Times, dates and ordinals of a sentence in words. What is left of numbers is amounts and bare numbers."""
    text = _with_colons(text, language)
    text = _native(text, language)
    to = join_range(["", ""], language)
    text = re.sub(
        r"(?<=\d[hH])\s?[–—-]\s?(?=\d{1,2}(?:[hH]|:\d\d))|(?<=:[0-5]\d)\s?[–—-]\s?(?=\d{1,2}[hH](?!\w))", to, text
    )
    text = re.sub(r"(?<=:[0-5]\d)\s?[–-]\s?(?=\d{1,2}:[0-5]\d)", to, text)
    text = re.sub(r"(:[0-5]\d)(?=[A-Za-z])", r"\1 ", text)
    text = _TIME.sub(lambda match: _time(match, language), text)
    text = _SCORE.sub(lambda match: _score(match, language), text)
    if language == "pl":
        hour = r"(godzini?[ey]\s|\b[Oo]\s(?=\d+(?:\s?[.,!?]|$|\s(?:rano|wieczorem|w))))(\d{1,2})(?![\d:.]\d|\d)"
        text = re.sub(hour, lambda m: m[1] + ordinal(int(m[2]), "pl", "l"), text)
    if language == "hu":
        text = re.sub(r"(?<=[^\W\d_])-(?=(?:kor|ig|t[őó]l|r[ea])\b)", "", text)
    if language == "tr":
        text = re.sub(rf"({_TURKISH_ENDS})'(?=[^\W\d_])", r"\1", text)
    for pattern in _DATES:
        text = pattern.sub(lambda match: _date(match, language), text)
    text = _days_of_months(text, language)
    if language in ("de", "cs"):
        text = _DAY_AND_MONTH.sub(lambda match: _day_and_month(match[1], match[2], language) or match[0], text)
    if language == "ko":
        text = re.sub(r"(?<!\d)(6|10)(?=월)", lambda match: "유" if match[1] == "6" else "시", text)
    return say_ordinals(text, language)


def _days_of_months(text: str, language: str) -> str:
    """3/4 and 30.11. behind a word that says that it is a date, where nothing stands behind that is counted."""
    behind = vocabulary(language).date_behind
    slavic = language in ("pl", "ru")
    of = (
        r"zł|[^\W\d]+ów|proc|руб\w*|тыс|млн|евро|метр\w*|[кс]?м|кг|kg|k?m|раз\w?"
        if slavic
        else "d[eiauo]|des|della?|van|of"
    )
    two_digits = r"(0\d|1[0-2])\.?"
    for sign, month in ((r"\.", two_digits),) if slavic else (("/", r"(\d{1,2})"), ("-", two_digits)):
        day = rf"(?<=\s)(\d{{1,2}}){sign}{month}(?![\d/%]|[.,:-]\d|\s?[%€$£₽]|\s(?:{of})\b)"
        text = re.sub(day, lambda match: _slashed(match, behind, language), text) if behind else text
    if language in ("pl", "ru", "tr"):  # no time, and no number, as these have a comma
        day = rf"(?<![\d.,])(2[4-9]|3[01]|0[1-9])\.{two_digits}(?![\d%]|[.,:-]\d|\s?[%€$£₽₺]|\s(?:{of}|TL)\b)"
        text = re.sub(day, lambda match: _day_and_month(match[1], match[2], language) or match[0], text)
    if language == "tr":
        day = r"(?<![\d.,])(\d{1,2})\.(0\d|1[0-2])(?=')"
        text = re.sub(day, lambda match: _day_and_month(match[1], match[2], "tr") or match[0], text)
    return text


def _score(match: re.Match[str], language: str) -> str:
    """3:2 and 16:9."""
    names = vocabulary(language)
    between = names.ratio or (names.over if language in ("zh", "ja", "ko") else "")
    space = "" if language in ("zh", "ja") else " "
    return f"{match[1]} {match[2]}" if not between else f"{match[1]}{space}{between}{space}{match[2]}"


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
    if language not in ("en", "zh", "ja", "ko", "ar"):
        range_ = rf"(?<![\d.,]){clock}\.([0-5][05])(\s?[–—-]\s?){clock}\.([0-5][05])(?![.,]?\d)"
        text = re.sub(range_, r"\1:\2\3\4:\5", text)
    text = re.sub(
        rf"(?<![\d.,:]){clock}\s?[{'uU' if language == 'nl' else 'hH'}]\s?([0-5]\d)(?:\s?m(?:in)?\b)?(?!\d)",
        r"\1:\2",
        text,
    )
    text = _half_of_day(text, language)
    if names.hours_after:
        text = re.sub(rf"(?<![\d.,:]){clock}\.([0-5]\d)(?=\s?(?:{names.hours_after})(?!\w))", r"\1:\2", text)
        text = re.sub(rf"(?<=:[0-5]\d)\s?(?:{names.hours_after})(?![^\W_])", _kept_half_of_day, text)
    if names.hours_before:
        before = rf"((?<!\w)(?:{names.hours_before})\s)"
        text = re.sub(
            rf"{before}{clock}\.([0-5]\d)(?![\d.,]\d|\d|\s?[%€$£]|\s(?:[Ee]uro|[Dd]ollar|Meter|Prozent|Kilo|zł|kg|km|cm|Kč|руб|метр|кило|процент|раз|тыс|мл|долл|евро|градус|балл|литр|[кс]?м\b|кг))",
            r"\1\2:\3",
            text,
            flags=re.IGNORECASE,
        )
    if language in ("hu", "tr"):
        text = re.sub(rf"(?<![\d.,]){clock}\.([0-5]\d)(?=[-'][a-zıöüçşğé])", r"\1:\2", text)
    return text


def _half_of_day(text: str, language: str) -> str:
    """5pm as 17:00, but where the language says the half of the day, too."""
    if language == "ar":
        half = r"(الساعة\s\d{1,2}(?::\d\d)?|\d{1,2}:\d\d)\s?([صم])(?!\w)"
        text = re.sub(half, lambda m: f"{m[1]} {Locale('ar').periods['am' if m[2] == 'ص' else 'pm']}", text)
    if language in ("en", "es"):
        text = re.sub(r"(\d\s?[ap]\.?\s?m\.?)\s?[–—-]\s?(?=\d)", rf"\1{join_range(['', ''], language)}", text)
        return re.sub(r"(?<=\d)(?=[ap]m\b)", " ", text)
    return _HALF.sub(lambda match: _whole_day(match, language), text)


def _whole_day(match: re.Match[str], language: str) -> str:
    hour, minute, half = int(match[1]), match[2] or "00", match[3].lower() + "m"
    if language in _HALVES:
        return f"{_HALVES[language][half]}{hour}:{minute}"
    return f"{hour % 12 + 12 * (half == 'pm')}:{minute}"


def _kept_half_of_day(match: re.Match[str]) -> str:
    return match[0] if "m" in match[0] else "-kor" if match[0].strip() == "órakor" else ""


def _native(text: str, language: str) -> str:
    """Counting that is other than the numbers: Chinese years and pairs, Korean hours and things."""
    if language == "zh":
        text = re.sub(r"(?<!\d)(\d{4})年", lambda m: "".join("零一二三四五六七八九"[int(d)] for d in m[1]) + "年", text)
        return re.sub(r"(?<![\d.,:第])2(?=[个点次本只条位张块杯瓶天周米岁])", "两", text)
    if language == "ar":
        return re.sub(
            r"(?<![\d.,])((?:19|20)\d\d(?=\s?م)|[12]\d{3}(?=م|\s?هـ))\s?(م|هـ)(?!\w)",
            lambda m: f"{m[1]} {_ERAS[m[2]]}",
            text,
        )
    if language == "ko":
        counted = (
            r"(?<![\d.,:/½제–-])(?:([1-9]\d?)\s?[–-]\s?)?([1-9]\d?)\s?(시간?|번째|개(?!월)|명|살|마리|권|잔|병|장)"
        )
        return re.sub(counted, _korean_count, text)
    return text


def _korean_count(match: re.Match[str]) -> str:
    first = f"{korean_count(int(match[1]))}에서 " if match[1] else ""
    return f"{first}{'첫' if match[0] == '1번째' else korean_count(int(match[2]))} {match[3]}"


def _time(match: re.Match[str], language: str) -> str:
    """Seconds are left to the measures."""
    return _hours_and_minutes(match, language) + (f" {int(match[3])} sec" if match[3] else "")


def _hours_and_minutes(match: re.Match[str], language: str) -> str:
    if language == "ru" and (case := vocabulary(language).number_behind.get(word_before(match))):
        return _russian_time(int(match[1]), int(match[2]), case)
    names, hour, minute = vocabulary(language), int(match[1]), int(match[2])
    said = _hour(hour, match, language)
    genitive = language == "cs" and names.number_behind.get(word_before(match)) == "g"
    if genitive:  # od osmi hodin
        said = cardinal(hour, "cs", "fg")
    word = inflected(names.hours, str(hour) if not genitive else "2" if hour == 1 else "5", language)
    if minute == 0:
        after = match.string[match.end() :].lstrip().lower()
        pattern = "{h}" if after.startswith(("a.m", "p.m", "am", "pm", "a m", "p m", "a eme", "pe eme")) else names.hour
        return pattern.format(h=said, hours=word)
    return names.time.format(h=said, m=_minute(minute, language), hours=word)


def _russian_time(hour: int, minute: int, case: str) -> str:
    """до восемнадцати тридцати, к пяти часам."""
    said = cardinal(hour, "ru", "m" + case)
    one = hour % 10 == 1 and hour != 11
    hours = {"g": "часа" if one else "часов", "d": "часу" if one else "часам"}[case]
    return f"{said} {cardinal(minute, 'ru', 'f' + case) if minute else hours}"


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
    if minute < 10 and language in ("en", "ru", "pl", "cs", "zh", "tr"):
        zero = "oh" if language == "en" else cardinal(0, language)
        return zero + words if language == "zh" else f"{zero} {words}"
    return words


def _date(match: re.Match[str], language: str) -> str:
    day, month, year_ = int(match["d"]), int(match["m"]), int(match["y"])
    if month > 12 or (language == "en" and re.fullmatch(r"\d+/\d+/\d+|\d\d-\d\d-\d\d", match[0]) and day <= 12):
        day, month = month, day
    if len(match["y"]) == 2:
        year_ += 2000 if year_ < 50 else 1900
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
