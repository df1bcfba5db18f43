"""The languages of the service and the reading of BCP-47 tags."""

from collections.abc import Iterable
from dataclasses import dataclass

import langcodes

from src.domain.errors import UnsupportedLanguage


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str
    native_name: str


LANGUAGES: dict[str, Language] = {
    code: Language(code, name, native)
    for code, name, native in (
        ("en", "English", "English"),
        ("fr", "French", "Français"),
        ("es", "Spanish", "Español"),
        ("de", "German", "Deutsch"),
        ("it", "Italian", "Italiano"),
        ("pt", "Portuguese", "Português"),
        ("pl", "Polish", "Polski"),
        ("tr", "Turkish", "Türkçe"),
        ("ru", "Russian", "Русский"),
        ("nl", "Dutch", "Nederlands"),
        ("cs", "Czech", "Čeština"),
        ("ar", "Arabic", "العربية"),
        ("zh", "Chinese", "中文"),
        ("ja", "Japanese", "日本語"),
        ("ko", "Korean", "한국어"),
        ("hu", "Hungarian", "Magyar"),
    )
}
"""What XTTS-v2 speaks, less Hindi: the order is the one in which clients show them."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "en": ("en-US", "en-GB"),
    "es": ("es-ES", "es-419"),
    "pt": ("pt-BR", "pt-PT"),
    "zh": ("zh-Hans", "zh-Hant"),
}
"""Ways of writing a language between which some translation engine distinguishes. Hearing and speaking know only the
language.
"""


def variant(tag: str) -> str | None:
    """The variant nearest to a BCP-47 tag, by CLDR: `pt_br` is `pt-BR`, `es-MX` is `es-419`, `zh-TW` is `zh-Hant`.

    None for a bare language, and for a language without variants. Raises UnsupportedLanguage as `canonical` does.
    """
    variants = VARIANTS.get(canonical(tag))
    language = langcodes.Language.get(tag.strip())
    if variants is None or (language.territory is None and language.script is None):
        return None
    return min(variants, key=lambda each: langcodes.tag_distance(language, each))


def canonical(tag: str) -> str:
    """The service's code for a BCP-47 tag in any case: `pt-BR` is `pt`, `zh-Hans` is `zh`, `EN` is `en`.

    Raises UnsupportedLanguage for a tag that is malformed or names another language.
    """
    try:
        code = langcodes.Language.get(tag.strip()).language
    except (ValueError, LookupError):
        code = None
    if code is None or code not in LANGUAGES:
        raise UnsupportedLanguage(f"{tag!r} is not one of the service's languages: {', '.join(LANGUAGES)}.")
    return code


UNSPACED = frozenset({"zh", "ja"})
"""Languages whose sentences stand without spaces between them."""


def joined(pieces: Iterable[str], language: str) -> str:
    """Pieces of one text of that language put together again."""
    return ("" if language in UNSPACED else " ").join(pieces)
