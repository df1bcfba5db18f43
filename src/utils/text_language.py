"""Which language a text is in."""

import functools
from collections.abc import Iterable

from py3langid.langid import MODEL_FILE, RAW_FLOOR, LanguageIdentifier


def text_language(text: str, among: Iterable[str]) -> str | None:
    """The likeliest of the languages `among` (ISO 639-1); None where nothing in the text speaks for any."""
    language, score = _identifier(frozenset(among)).classify(text)
    return None if score <= RAW_FLOOR else str(language)


@functools.cache
def _identifier(among: frozenset[str]) -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(sorted(among))
    return identifier
