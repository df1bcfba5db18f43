"""Which translation engines the settings make, and in which order."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from src.adapters.translators import apertium
from src.bootstrap.translators import TranslationEngines, build_translators
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from tests.providers.libretranslate_server import LibreTranslateServer

KEY = "secret-key-of-the-test"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key and no setting from whoever runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def libre() -> Iterator[LibreTranslateServer]:
    with LibreTranslateServer() as running:
        yield running


def build(**settings: Any) -> TranslationEngines:
    built = build_translators(Settings(_env_file=None, **settings))
    asyncio.run(built.close())
    return built


def names(built: TranslationEngines) -> list[str]:
    return [engine.name for engine in built.engines]


def test_auto_is_apertium_where_nothing_else_is_given() -> None:
    assert names(build()) == ["apertium"]


def test_auto_prefers_deepl_and_keeps_apertium_behind_it() -> None:
    assert names(build(deepl_api_key=KEY)) == ["deepl", "apertium"]


def test_auto_takes_the_libretranslate_server_that_is_set(libre: LibreTranslateServer) -> None:
    assert names(build(deepl_api_key=KEY, libretranslate_url=libre.url)) == ["deepl", "libretranslate", "apertium"]


def test_auto_does_without_a_libretranslate_server_that_is_down_and_says_so() -> None:
    built = build(libretranslate_url="http://127.0.0.1:9")
    assert names(built) == ["apertium"]
    assert "LIBRETRANSLATE_URL" in built.notices[0]


def test_google_is_asked_only_when_it_is_named() -> None:
    assert "google" not in names(build(deepl_api_key=KEY))
    assert names(build(translation_engines="auto,google", deepl_api_key=KEY)) == ["deepl", "apertium", "google"]


def test_the_order_is_the_settings() -> None:
    built = build(translation_engines="google, apertium, deepl, google", deepl_api_key=KEY)
    assert names(built) == ["google", "apertium", "deepl"]


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"translation_engines": "deepl"}, "DEEPL_API_KEY"),
        ({"translation_engines": "auto,deepl"}, "DEEPL_API_KEY"),
        ({"translation_engines": "libretranslate"}, "LIBRETRANSLATE_URL"),
        ({"translation_engines": "libretranslate", "libretranslate_url": "http://127.0.0.1:9"}, "LIBRETRANSLATE_URL"),
        ({"translation_engines": "bing"}, "bing; there are: auto, deepl, google, libretranslate, apertium"),
    ],
)
def test_a_named_engine_without_what_it_needs_fails(settings: dict[str, Any], missing: str) -> None:
    with pytest.raises(EngineUnavailable, match=missing):
        build(**settings)


def test_without_pairs_of_apertium_only_a_service_that_has_nothing_else_is_degraded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apertium, "modes_directories", lambda: (tmp_path,))
    alone, beside = build(), build(deepl_api_key=KEY)
    assert (alone.engines, len(alone.notices)) == ((), 1)
    assert "apertium-eng-spa" in alone.notices[0]
    assert (names(beside), beside.notices) == (["deepl"], ())
    with pytest.raises(EngineUnavailable, match="Apertium"):
        build(translation_engines="apertium", deepl_api_key=KEY)


def test_a_key_does_not_show() -> None:
    settings = Settings(_env_file=None, deepl_api_key=KEY, libretranslate_api_key=KEY)
    assert KEY not in repr(settings) + repr(build(deepl_api_key=KEY)) + str(settings.model_dump())


def test_an_address_is_an_address() -> None:
    with pytest.raises(ValidationError, match="http"):
        Settings(_env_file=None, libretranslate_url="libretranslate.example.org")
