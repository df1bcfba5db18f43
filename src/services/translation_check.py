"""Whether a translator's answer can be a translation: what a provider answers is looked at before it is spoken."""

import re
import unicodedata

_LONGER, _SPARE_LETTERS = 10, 40
"""An answer is too long beyond this many letters for one of the text, and these."""
_SHORTER, _SHORTENABLE_LETTERS = 10, 40
"""An answer is too short below one letter for this many of a text of at least so many letters."""
_IDEOGRAPHS = frozenset({"zh", "ja", "ko"})
"""A letter of these says as much as three of others."""
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "yue"})
_UNCHANGED_WORDS = 4
"""A text of fewer words may be a name, a number or a word that both languages have."""
_LONGEST_REPEATED = 60
"""Words, or characters where words are not spaced."""

_MARKUP = re.compile(r"</?[a-z][^<>]{0,200}>|&(?:[a-z]{2,8}|#\d{1,6});|^\s*[{\[]\s*\"", re.IGNORECASE)
_SENTINEL = re.compile(
    r"MYMEMORY WARNING|QUERY LENGTH LIMIT|NO QUERY SPECIFIED|INVALID (?:SOURCE|TARGET|LANGUAGE) "
    r"|SELECT TWO DISTINCT LANGUAGES|\[object Object\]"
)
"""What providers answer in place of a translation, in their own spelling."""
_STATUS = re.compile(
    r"\W*(?:HTTP\S*\s+|error\W+)?([45]\d\d)\W+(?:bad request|unauthorized|forbidden|not found|request timeout"
    r"|payload too large|too many requests|(?:internal )?server error|bad gateway|service unavailable|gateway timeout)"
    r"\W*\d?",
    re.IGNORECASE,
)
_BARE = re.compile(r"null|undefined|error", re.IGNORECASE)
_BARE_LETTERS = 12
"""A shorter text may mean just one of these words."""
_ERROR = re.compile(
    r"invalid (?:source|target|language) |select two distinct languages|internal server error"
    r"|too many requests|service (?:is )?(?:temporarily )?unavailable|bad gateway|gateway time-?out|bad request"
    r"|quota (?:was )?exceeded|rate limit|unauthori[sz]ed|api key|access denied|request entity too large"
    r"|translation failed|^error\b[\s:]+\d|^error:\s*(?:invalid|missing|unknown|failed|bad)\b",
    re.IGNORECASE,
)
_REPEATED_IN_SOURCE = re.compile(r"(\w{1,60}?)(?: ?\1){2,}|\b(\w{2,5}?)\2+\b")
"""Three times the same, or a laugh."""


def fault(text: str, answer: str, source: str, target: str) -> str | None:
    """What is wrong with `answer` as a translation of `text` ("it is empty"), or None."""
    if not _letters(text):
        return None
    faults = {
        "it is empty": not _letters(answer),
        "it is markup": _MARKUP.search(answer) and not _MARKUP.search(text),
        "it is an error message": _is_error(text, answer, source, target),
        "it is much too long": len(answer) > _LONGER * _weight(source) * len(text) + _SPARE_LETTERS,
        "it is much too short": _is_too_short(_letters(text) * _weight(source), _letters(answer) * _weight(target)),
        "it repeats itself": _repeats(answer, target) and not _REPEATED_IN_SOURCE.search(_plain(text)),
    }
    return next((name for name, found in faults.items() if found), None)


def unchanged(text: str, answer: str) -> bool:
    """Whether a text of several words came back as it was."""
    words = _plain(text).split()
    many = len(words) >= _UNCHANGED_WORDS or (len(words) > 0 and any("\u3040" <= c <= "\ud7ff" for c in text[4:]))
    return many and _plain(text) == _plain(answer)


def _is_error(text: str, answer: str, source: str, target: str) -> bool:
    """An error may be what the text is about. In English the phrases are just what a translator has to say then."""
    if _SENTINEL.search(answer):
        return not _SENTINEL.search(text)
    if status := _STATUS.match(answer):
        return status[1] not in text
    letters = _letters(text) * _weight(source)
    if _BARE.fullmatch(answer.strip()):
        return letters > _BARE_LETTERS
    if not _ERROR.search(answer) or _ERROR.search(text):
        return False
    return target != "en" or not letters / 2 <= _letters(answer) <= 2 * letters


def _is_too_short(asked: int, answered: int) -> bool:
    return asked >= _SHORTENABLE_LETTERS and answered * _SHORTER < asked


def _repeats(answer: str, target: str) -> bool:
    """Whether several words come four times in a row, or one word five times. Numbers have their zeros."""
    spaced = target not in _UNSPACED
    units = _plain(answer).split() if spaced else list(_plain(answer).replace(" ", ""))
    for size in range(1 if spaced else 3, min(_LONGEST_REPEATED, len(units) // 4) + 1):
        times, run = (5 if size == 1 else 4), 0
        for index in range(size, len(units)):
            run = run + 1 if units[index] == units[index - size] and not units[index].isdigit() else 0
            if run >= size * (times - 1):
                return True
    return False


def _weight(language: str) -> int:
    return 3 if language in _IDEOGRAPHS else 1


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded).split())
