"""Whether a translator's answer can be a translation: what a provider answers is looked at before it is spoken."""

import re
import unicodedata

_LONGER, _SPARE_LETTERS = 10, 40
"""An answer is too long beyond this many letters for one of the text, and these. Ideographs say three times as much."""
_IDEOGRAPHS = frozenset({"zh", "ja", "ko"})
_UNCHANGED_WORDS = 4
"""A text of fewer words may be a name, a number or a word that both languages have."""

_MARKUP = re.compile(r"</?[a-z][^<>]{0,200}>|&(?:[a-z]{2,8}|#\d{1,6});|^\s*[{\[]\s*\"", re.IGNORECASE)
_ERROR = re.compile(
    r"mymemory warning|invalid (?:source|target|language) |select two distinct languages|internal server error"
    r"|too many requests|service (?:is )?(?:temporarily )?unavailable|bad gateway|bad request|quota (?:was )?exceeded"
    r"|rate limit|unauthori[sz]ed|api key|access denied|request entity too large|^error\b[\s:]+\d|^error$",
    re.IGNORECASE,
)
_ERROR_IN_SOURCE = re.compile(
    r"[45]\d\d|err|fehl|fout|virhe|błąd|chyb|hata|ошибк|خطأ|错误|エラー|오류|hib|server|quota|api|service",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"(.{2,60}?)\1{5,}", re.DOTALL)
_REPEATED_IN_SOURCE = re.compile(r"(.{1,60}?)\1{3,}", re.DOTALL)


def fault(text: str, answer: str, source: str, target: str) -> str | None:
    """What is wrong with `answer` as a translation of `text` ("it is empty"), or None."""
    if not _letters(text):
        return None
    at_most = _LONGER * (3 if source in _IDEOGRAPHS else 1) * len(text) + _SPARE_LETTERS
    told_of_an_error = _ERROR.search(text) or (target == "en" and _ERROR_IN_SOURCE.search(text))
    faults = {
        "it is empty": not _letters(answer),
        "it is markup": _MARKUP.search(answer) and not _MARKUP.search(text),
        "it is an error message": _ERROR.search(answer) and not told_of_an_error,
        "it is much too long": len(answer) > at_most,
        "it repeats itself": _REPEATED.search(answer) and not _REPEATED_IN_SOURCE.search(text),
    }
    return next((name for name, found in faults.items() if found), None)


def unchanged(text: str, answer: str) -> bool:
    """Whether a text of several words came back as it was."""
    words = _plain(text).split()
    many = len(words) >= _UNCHANGED_WORDS or (len(words) > 0 and any("\u3040" <= c <= "\ud7ff" for c in text[4:]))
    return many and _plain(text) == _plain(answer)


def _letters(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in folded).split())
