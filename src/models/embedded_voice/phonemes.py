"""Texts in the phonemes that Kokoro-82M learned from: IPA with punctuation.

espeak-ng gives them where the network learned from espeak-ng; Chinese and Japanese have rules of their own, those of
misaki, with which the network's texts were made.
"""

import re
from collections.abc import Callable

from src.models.embedded_voice.base_voice import ESPEAK_NAMES, espeak_ipa
from src.models.embedded_voice.japanese import japanese_ipa

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_PAUSES = str.maketrans(dict(zip("、，。．！：；？…—", ", , . . ! : ; ? … —".split(), strict=True)))  # noqa: SIM905

_INITIALS = dict(
    zip(
        "b c ch d f g h j k l m n p q r s sh t x z zh".split(),  # noqa: SIM905
        "p ʦʰ ꭧʰ t f k x ʨ kʰ l m n pʰ ʨʰ ɻ s ʂ tʰ ɕ ʦ ꭧ".split(),  # noqa: SIM905
        strict=True,
    )
)
_FINALS_OF = """
    a=a* ai=ai* an=a*n ang=a*ŋ ao=au* e=ɤ* ei=ei* en=ə*n eng=ə*ŋ i=i* ia=ja* ian=jɛ*n iang=ja*ŋ iao=jau* ie=je*
    in=i*n iou=jou* ing=i*ŋ iong=jʊ*ŋ ong=ʊ*ŋ ou=ou* u=u* uei=wei* ua=wa* uai=wai* uan=wa*n uen=wə*n uang=wa*ŋ
    ueng=wə*ŋ uo=wo* o=wo* ü=y* üe=ɥe* üan=ɥɛ*n ün=y*n
"""
_FINALS = dict(pair.split("=") for pair in _FINALS_OF.split())
"""`*` is where the tone goes."""
_WHOLE = {"er": "ɚ*", "o": "ɔ*", "ê": "ɛ*", "io": "jɔ*", "m": "m*", "n": "n*", "ng": "ŋ*", "hm": "hm*", "hng": "hŋ*"}
_BUZZED = frozenset("zh ch sh r z c s".split())  # noqa: SIM905
"""Initials after which an i is a vowel of its own."""
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}


def chinese_ipa(text: str) -> str:
    """Of Chinese, with tones and pauses: pinyin of words, then a table. Letters that are not Chinese are left out."""
    # A dictionary of some MB, for Chinese alone.
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415
    from pypinyin.seg.mmseg import seg  # noqa: PLC0415

    said = []
    for part in seg.cut(text.translate(_PAUSES)):
        if _HAN.fullmatch(part):
            syllables = lazy_pinyin(part, style=Style.TONE3, neutral_tone_with_five=True, v_to_u=True)
            said.append(" " + "".join(map(_syllable, syllables)))
        elif part in ",.!:;?…—":
            said.append(part)
    return "".join(said).strip()


def _syllable(pinyin: str) -> str:
    from pypinyin.contrib.tone_convert import to_finals, to_initials  # noqa: PLC0415

    plain, tone = pinyin[:-1], _TONES.get(pinyin[-1], "")
    if plain in _WHOLE:
        return _WHOLE[plain].replace("*", tone)
    initial, final = to_initials(plain, strict=True), to_finals(plain, strict=True, v_to_u=True)
    vowel = "ɨ*" if initial in _BUZZED and final == "i" else _FINALS.get(final, "")
    return _INITIALS.get(initial, "") + vowel.replace("*", tone)


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
_NEAREST = {"ɫ": "l", "ɭ": "l", "ʑ": "ʒ", "ɵ": "ø", "ħ": "h", "ʕ": "ʔ"}
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
