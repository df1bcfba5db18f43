"""Texts in the phonemes that Kokoro-82M learned from: IPA with punctuation.

espeak-ng gives them where the network learned from espeak-ng; Chinese and Japanese have rules of their own.
"""

import re
from collections.abc import Callable

from src.models.embedded_voice.base_voice import ESPEAK_NAMES, espeak_ipa
from src.models.embedded_voice.chinese import chinese_ipa
from src.models.embedded_voice.japanese import japanese_ipa

_PUNCTUATION = re.compile(r"\s*([.,;:!?—…]+)\s*")
_OTHER_LANGUAGE = re.compile(r"\([^)]*\)")
"""How espeak-ng marks that it reads a word in another language."""

_TIE = "\u0361"
_SYLLABIC = re.compile("(\\S)\u0329")
_JOINED = {
    "aɪ": "I",
    "aʊ": "W",
    "dz": "ʣ",
    "dʒ": "ʤ",
    "eɪ": "A",
    "oʊ": "O",
    "əʊ": "Q",
    "ss": "S",
    "ts": "ʦ",
    "tʃ": "ʧ",
    "tɕ": "ʨ",
    "dʑ": "ʥ",
    "ɔɪ": "Y",
}
"""Two sounds that espeak-ng ties are one sign."""
_NEAREST = {
    "ɫ": "l",
    "ɭ": "l",
    "ʑ": "ʒ",
    "ɵ": "ø",
    "ħ": "h",
    "ʕ": "ʔ",
}
"""What is near to sounds that the network has no sign for."""
_KOREAN_BREATH = re.compile("(?<=[kptʧʨ])h")
_ENGLISH = (
    ("ʔˌn\u0329", "ʔn"),
    ("ʔn\u0329", "ʔn"),
    ("ʲo", "jo"),
    ("ʲə", "jə"),
    ("ə͡l", "ᵊl"),
    ("e", "A"),
    ("ʲ", ""),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɐ", "ə"),
    ("ɬ", "l"),
    ("\u0303", ""),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ɪə", "iə"),
    ("ː", ""),
    ("o", "ɔ"),
    ("ɾ", "T"),
    ("ʔ", "t"),
)
"""How the network's American English differs from espeak-ng's, in the order in which it is replaced."""


def phonemes(text: str, language: str) -> str:
    """How `text` is said in a language of the service: the network's signs, and others, which it leaves out.

    Raises EngineUnavailable, DeadlineExceeded.
    """
    if language == "ja":
        return japanese_ipa(text)
    if language == "zh":
        return chinese_ipa(text)
    name = ESPEAK_NAMES.get(language, language)
    said = _with_punctuation(text, lambda clause: _signs(espeak_ipa(clause, name), english=language == "en"))
    return _KOREAN_BREATH.sub("ʰ", said).replace("q", "k") if language == "ko" else said


def _with_punctuation(text: str, said: Callable[[str], str]) -> str:
    """espeak-ng says nothing of punctuation, which the network's melody needs: it gets each clause alone."""
    parts = _PUNCTUATION.split(text)
    clauses = [said(part) if any(map(str.isalnum, part)) else "" for part in parts[::2]]
    marks = [f"{mark[0]} " for mark in parts[1::2]]
    return "".join(clause + mark for clause, mark in zip(clauses, [*marks, ""], strict=True)).strip()


def _signs(ipa: str, *, english: bool) -> str:
    ipa = _OTHER_LANGUAGE.sub("", ipa)
    for pair, sign in _JOINED.items():
        ipa = ipa.replace(pair[0] + _TIE + pair[1], sign)
    for sound, near in _NEAREST.items():
        ipa = ipa.replace(sound, near)
    if english:
        for theirs, ours in _ENGLISH:
            ipa = ipa.replace(theirs, ours)
        ipa = _SYLLABIC.sub("ᵊ\\1", ipa)
    return " ".join(ipa.replace(_TIE, "").replace("-", "").split())
