"""Chinese in IPA with tones, as Kokoro-82M learned it: pinyin of words, then a table of initials and finals.

The rules are those of misaki, with which the network's texts were made.
"""

import re

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_PUNCTUATION = str.maketrans(dict(zip("、，。．！：；？…—", ", , . . ! : ; ? … —".split(), strict=True)))  # noqa: SIM905

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
    """`text` with its pauses; letters that are not Chinese are left out."""
    # A dictionary of some MB, for Chinese alone.
    from pypinyin import Style, lazy_pinyin  # noqa: PLC0415
    from pypinyin.seg.mmseg import seg  # noqa: PLC0415

    said = []
    for part in seg.cut(text.translate(_PUNCTUATION)):
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
