"""Translation by a LibreTranslate server of one's own: https://docs.libretranslate.com"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import httpx

from src.adapters.translators.remote import (
    Breaker,
    Budget,
    Pair,
    RemoteTranslator,
    check_status,
    http_client,
    httpx_errors,
    texts_of,
)
from src.domain.errors import EngineUnavailable, UnsupportedLanguage
from src.domain.languages import canonical, variant
from src.domain.speech import AS_CONFIGURED, Translation, Wording


class LibreTranslator(RemoteTranslator):
    """Implements the port `Translator`. `codes` are the server's names of each pair, as `connect` asks for them."""

    name, title = "libretranslate", "LibreTranslate"

    def __init__(
        self,
        url: str,
        api_key: str | None,
        codes: Mapping[Pair, Pair],
        *,
        budget: Budget | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        budget = budget or Budget()
        self._api_key = api_key
        self._codes = dict(codes)
        self._variants = {target: _variant(code) for (_, target), (_, code) in codes.items()}
        super().__init__({pair: pair for pair in codes}, budget, breaker)
        self._client = http_client(url, budget)

    @classmethod
    def connect(cls, url: str, api_key: str | None, budget: Budget | None = None) -> Self:
        """Ask the server for its pairs, and wait for the answer. Raises EngineUnavailable."""
        budget = budget or Budget()
        try:
            response = httpx.get(f"{url.rstrip('/')}/languages", timeout=budget.attempt_seconds)
            codes = _pairs(response.raise_for_status().json())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            raise EngineUnavailable(
                f"LIBRETRANSLATE_URL does not tell its languages ({type(error).__name__}): is the server up?"
            ) from None
        return cls(url, api_key, codes, budget=budget)

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        """Everything but a variant that happens to be the one that the server writes."""
        written = self._variants.get(target)
        return tuple(name for name in wording.asked if name != "target_variant" or wording.target_variant != written)

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        """All in one request. Raises TranslationUnavailable and UnsupportedLanguage."""
        pair = (source, target)
        with self._translating(pair):
            translated = await self._calls.run(partial(self._ask, texts, self._codes[pair]), self._calls.deadline())
        return Translation(translated, self.name, pair, target_variant=self._variants[target])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, texts: tuple[str, ...], codes: Pair) -> tuple[str, ...]:
        body: dict[str, object] = {"q": texts, "source": codes[0], "target": codes[1], "format": "text"}
        if self._api_key:
            body["api_key"] = self._api_key  # it knows no header for it
        with httpx_errors():
            response = await self._client.post("/translate", json=body)
        check_status(self.name, response.status_code, response.headers.get("Retry-After"))
        return texts_of(response, lambda answer: answer["translatedText"], len(texts))


def _pairs(listed: list[dict[str, Any]]) -> dict[Pair, Pair]:
    """Of `[{"code": "en", "targets": ["fr", "zh-Hans"]}]`, the pairs of the service's languages."""
    named = [(entry["code"], target) for entry in listed for target in entry["targets"]]
    # Of several scripts of one language the first listed is taken.
    pairs: dict[Pair, Pair] = {}
    for codes in named:
        source, target = (_language(code) for code in codes)
        if source is not None and target is not None and source != target:
            pairs.setdefault((source, target), codes)
    return pairs


def _variant(code: str) -> str | None:
    """The server's `zh` is simplified: it has the traditional script as `zt`."""
    return "zh-Hans" if code.lower() == "zh" else variant(code)


def _language(code: str) -> str | None:
    if code.lower() in ("zh-hant", "zt"):  # voices read simplified characters
        return None
    try:
        return canonical(code)
    except UnsupportedLanguage:
        return None
