"""What is written short round a number: 10⁶, 5'7", 3x, 5000元/月, 20%-os."""

import re
import unicodedata

from src.services.spoken_text.amounts import inflected
from src.services.spoken_text.numbers import cardinal
from src.services.spoken_text.vocabulary import vocabulary

_EXPONENT = re.compile(r"(?<=[\d)])\^?([⁺⁻]?[⁰¹²³⁴-⁹]+|(?<=\^)[-−]?\d+)")
_PRIMES = re.compile(r"(?<![\w.,])(\d{1,2})\s?['′’]\s?(\d{1,2})\s?(?:[\"″”]|''|’’|′′)(?!\w)")
_UNIT_ENDING = {
    "hu": re.compile(r"(forint|euró|dollár|százalék|fok|méter|gramm|liter|óra|perc)-(?=[^\W\d_]{1,6}\b)"),
    "tr": re.compile(r"(lira|gram|metre|litre|dolar|euro|derece)'(?=[^\W\d_])"),
}


def powers(text: str, language: str) -> str:
    """10⁶ and 10^6. A square or a cube is a sign."""
    pattern = vocabulary(language).power
    text = re.sub(r"(?<=[a-z])\^([23])(?!\w)", lambda match: "²³"[int(match[1]) - 2], text)

    def said(match: re.Match[str]) -> str:
        number = unicodedata.normalize("NFKC", match[1]).replace("−", "-")
        space = "" if language in ("zh", "ja", "ko") else " "
        return match[0] if match[1] in ("²", "³") else f"{space}{pattern.format(n=number)}{space}"

    return _EXPONENT.sub(said, text)


def feet(text: str, language: str) -> str:
    """5'7" of a person is a height, 5'30" anywhere a time; 27" is a screen."""

    def said(match: re.Match[str]) -> str:
        high = 3 <= int(match[1]) <= 8 and int(match[2]) < 12
        return f"{match[1]} ft {match[2]}″" if high else f"{match[1]} min {match[2]} sec"

    text = _PRIMES.sub(said, text)
    if language == "en":
        text = re.sub(r"(?<![\w'.,])([4-7])['′’](\d|1[01])(?![\w'’])", r"\1 ft \2″", text)
    return re.sub(r'(?<=\d)"', "″", text) if text.count('"') == 1 else text


def rates(text: str, language: str) -> str:
    """8h/day, 3x/week."""
    if language not in ("de", "en", "es", "fr", "it", "nl", "pt"):
        return text
    return re.sub(r"(\d\s?[hx×])\s?/\s?(?=[^\W\d_]{3,})", rf"\1 {vocabulary(language).per} ", text)


def fold(match: re.Match[str], language: str) -> str:
    """3x, 1.5x."""
    names = vocabulary(language)
    number = re.search(r"[\d.,]+$", match.string[: match.start() + 1])
    if language == "hu" and number and number[0].isdigit():
        return f"{match[1]}-{hungarian_times(int(number[0])).removeprefix(cardinal(int(number[0]), 'hu', 'm'))}"
    said = inflected(names.fold, number[0] if number else "5", language)
    return f"{match[1]}{'-' if language in ('de', 'cs') else '' if language in ('zh', 'ja', 'ko') else ' '}{said}"


def east_asian(text: str, language: str) -> str:
    """Prices for a time, postal codes, numbers of houses; two numbers beside each other."""
    if language == "zh":
        text = re.sub("(?<=[元块角分])/(?=[\u4e00-\u9fff])", "每", text)
    else:
        text = re.sub(
            r"(?<![\d.-])(\d{1,4})-(\d{1,4})-(\d{1,4})(?![\d.-])", r"\1の\2の\3", text.replace("〒", "郵便番号")
        )
    return re.sub(r"(?<=\d) (?=\d)", "，" if language == "zh" else "、", text)


def unit_endings(text: str, language: str) -> str:
    """Case endings behind what was a sign: 20%-os, 5 TL'ye."""
    if language == "tr":
        back = str.maketrans("eiüö", "aıuo")
        text = re.sub(r"lira'([^\W\d_]+)", lambda match: "lira" + match[1].translate(back), text)
    return _UNIT_ENDING[language].sub(r"\1", text) if language in _UNIT_ENDING else text


def hungarian_times(number: int) -> str:
    words = cardinal(number, "hu", "m")
    vowel = next(letter for letter in reversed(words) if letter in "aáoóuúöőüűeéií")
    return words + ("szor" if vowel in "aáoóuú" else "ször" if vowel in "öőüű" else "szer")
