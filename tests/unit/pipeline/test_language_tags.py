"""BCP-47 tags as callers write them."""

import pytest

from src.domain.errors import UnsupportedLanguage
from src.domain.languages import LANGUAGES, VARIANTS, canonical, variant


@pytest.mark.parametrize(
    ("tag", "code", "name"),
    [
        ("en", "en", None),
        ("EN-gb", "en", "en-GB"),
        ("en-US", "en", "en-US"),
        ("en-AU", "en", "en-GB"),
        ("pt", "pt", None),
        ("pt-br", "pt", "pt-BR"),
        ("pt_PT", "pt", "pt-PT"),
        ("pt-AO", "pt", "pt-PT"),
        ("es", "es", None),
        ("es-ES", "es", "es-ES"),
        ("es-419", "es", "es-419"),
        ("es-MX", "es", "es-419"),
        ("zh", "zh", None),
        ("zh-Hans", "zh", "zh-Hans"),
        ("ZH-HANT", "zh", "zh-Hant"),
        ("zh-CN", "zh", "zh-Hans"),
        ("zh-TW", "zh", "zh-Hant"),
        ("zh-Hant-HK", "zh", "zh-Hant"),
        ("fr-CA", "fr", None),
        (" de-AT ", "de", None),
        ("sr-Latn", None, None),
        ("x", None, None),
        ("en-", None, None),
        ("e" * 35, None, None),
    ],
)
def test_a_tag_is_a_language_and_perhaps_a_variant(tag: str, code: str | None, name: str | None) -> None:
    if code is None:
        for read in (canonical, variant):
            with pytest.raises(UnsupportedLanguage):
                read(tag)
        return
    assert (canonical(tag), variant(tag)) == (code, name)


def test_every_variant_is_its_own_tag() -> None:
    for code, names in VARIANTS.items():
        assert [variant(name) for name in names] == [*names]
        assert {canonical(name) for name in names} == {code} <= set(LANGUAGES)
