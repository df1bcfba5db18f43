"""The catalogue of what a deployment can do."""

import pytest

from src.domain.errors import UnsupportedLanguage
from src.domain.languages import LANGUAGES
from src.services.deployment.languages import LanguageCatalog, LanguagePair
from tests.fakes.fakes import FakeTranscriber, FakeTranslator, FakeVoice

EAR = FakeTranscriber(name="ear", languages=frozenset({"fr", "en"}))
VOICE = FakeVoice(name="mouth", languages=frozenset({"es", "en", "fr", "hu"}))
FIRST = FakeTranslator(name="first", pairs=(("en", "es"), ("de", "en"), ("en", "pt")))
SECOND = FakeTranslator(name="second", pairs=(("en", "es"), ("fr", "en"), ("en", "fr")))


def catalog() -> LanguageCatalog:
    return LanguageCatalog(EAR, (FIRST, SECOND), VOICE)


def test_pairs_are_what_all_three_stages_can_do_by_the_first_translator() -> None:
    assert catalog().pairs == (
        LanguagePair("en", "fr", ("en", "fr"), "second"),
        LanguagePair("en", "es", ("en", "es"), "first"),
        LanguagePair("fr", "en", ("fr", "en"), "second"),
    )


def test_stages_name_their_engines_and_languages() -> None:
    assert (catalog().transcription.engine, catalog().transcription.languages) == ("ear", ("en", "fr"))
    assert (catalog().voice.engine, catalog().voice.languages) == ("mouth", ("en", "fr", "es", "hu"))
    assert [language.code for language in catalog().languages] == ["en", "fr", "es", "hu"]
    assert catalog().languages[1] == LANGUAGES["fr"]


@pytest.mark.parametrize(("source", "target"), [("en", "es"), (None, "es"), (None, "en"), ("fr", "fr"), (None, "fr")])
def test_what_works_is_let_through(source: str | None, target: str) -> None:
    catalog().require_pair(source, target)


def test_every_listed_pair_is_let_through() -> None:
    for pair in catalog().pairs:
        catalog().require_pair(pair.source, pair.target)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("de", "en", r"Transcription \(ear\) hears en, fr, not 'de'.*WHISPER_MODEL"),
        ("en", "pt", r"Voice \(mouth\) speaks en, fr, es, hu, not 'pt'.*espeak-ng"),
        (None, "pt", r"Voice \(mouth\)"),
        ("fr", "es", r"Translation \(engines: first, second\) has no way from fr to es.*en>es.*apertium-"),
        (None, "hu", r"from en or fr to hu"),
    ],
)
def test_what_does_not_work_names_the_stage_and_what_to_install(source: str | None, target: str, reason: str) -> None:
    with pytest.raises(UnsupportedLanguage, match=reason):
        catalog().require_pair(source, target)


def test_without_engines_nothing_is_promised() -> None:
    empty = LanguageCatalog(FakeTranscriber(languages=frozenset()), (), FakeVoice(languages=frozenset()))
    assert (empty.pairs, empty.languages) == ((), ())
    with pytest.raises(UnsupportedLanguage):
        empty.require_pair(None, "en")
