"""The languages of the service and the reading of BCP-47 tags."""

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
