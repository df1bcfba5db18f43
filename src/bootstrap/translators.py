"""Translation engines, in the order in which they are asked."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from src.adapters.translators.apertium import ApertiumTranslator
from src.adapters.translators.deepl import DeepLTranslator
from src.adapters.translators.google import GoogleTranslator
from src.adapters.translators.libretranslate import LibreTranslator
from src.adapters.translators.remote import Breaker, BreakerState
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable

logger = logging.getLogger(__name__)

Engine = DeepLTranslator | GoogleTranslator | LibreTranslator | ApertiumTranslator


@dataclass(frozen=True, slots=True)
class TranslationEngines:
    """`notices` say what was missing at the start."""

    engines: tuple[Engine, ...]
    notices: tuple[str, ...] = ()

    async def close(self) -> None:
        """End all of them, also when one fails to end."""
        await asyncio.gather(*(engine.close() for engine in self.engines))

    def resting(self) -> tuple[str, ...]:
        """A line for each engine that is left alone now, because it failed."""
        breakers = [
            (engine.name, engine.breaker) for engine in self.engines if not isinstance(engine, ApertiumTranslator)
        ]
        return tuple(_line(name, breaker) for name, breaker in breakers if breaker.state is not BreakerState.CLOSED)


def build_translators(settings: Settings) -> TranslationEngines:
    """The engines that TRANSLATION_ENGINES names. Blocks. Raises EngineUnavailable for one that lacks what it needs."""
    builders: dict[str, Callable[[Settings], Engine]] = {
        "deepl": _deepl,
        "google": _google,
        "libretranslate": _libretranslate,
        "apertium": _apertium,
    }
    unknown = set(settings.translation_engines) - {"auto", *builders}
    if unknown:
        known = ", ".join(("auto", *builders))
        raise EngineUnavailable(f"TRANSLATION_ENGINES names {', '.join(sorted(unknown))}; there are: {known}.")
    engines: dict[str, Engine] = {}
    notices: list[str] = []
    for name in _names(settings):
        try:
            engines.setdefault(name, builders[name](settings))
        except EngineUnavailable as missing:
            if name in settings.translation_engines:
                raise
            logger.warning("translation: %s is not there: %s", name, missing.detail)
            if name != "apertium" or not engines:  # with a provider that knows every pair nobody misses Apertium
                notices.append(f"translation: {missing.detail}")
    for engine in engines.values():
        logger.info("translation: %s, %d pairs (TRANSLATION_ENGINES)", engine.name, len(engine.routes))
    return TranslationEngines(tuple(engines.values()), tuple(notices))


def _names(settings: Settings) -> tuple[str, ...]:
    """In order and once each, with `auto` replaced by what the settings have the means for.

    Never google: its page takes what people say to a third party without key or contract, so somebody must ask for it.
    """
    automatic = [
        name
        for name, given in (("deepl", settings.deepl_api_key), ("libretranslate", settings.libretranslate_url))
        if given is not None
    ]
    named = ([*automatic, "apertium"] if name == "auto" else [name] for name in settings.translation_engines)
    return tuple(dict.fromkeys(name for names in named for name in names))


def _deepl(settings: Settings) -> DeepLTranslator:
    if settings.deepl_api_key is None:
        raise EngineUnavailable("TRANSLATION_ENGINES names deepl, which needs DEEPL_API_KEY.")
    return DeepLTranslator(settings.deepl_api_key.get_secret_value())


def _google(_: Settings) -> GoogleTranslator:
    return GoogleTranslator()


def _libretranslate(settings: Settings) -> LibreTranslator:
    if settings.libretranslate_url is None:
        raise EngineUnavailable("TRANSLATION_ENGINES names libretranslate, which needs LIBRETRANSLATE_URL.")
    key = settings.libretranslate_api_key
    secret = None if key is None else key.get_secret_value()
    return LibreTranslator.connect(settings.libretranslate_url, secret)


def _apertium(_: Settings) -> ApertiumTranslator:
    apertium = ApertiumTranslator()
    if not apertium.routes:
        raise EngineUnavailable(
            "Apertium has no language pairs here: install Debian's apertium, apertium-eng-spa and apertium-fr-es."
        )
    return apertium


def _line(name: str, breaker: Breaker) -> str:
    return f"translation: {name} failed several times and is left alone for a while (breaker {breaker.state})"
