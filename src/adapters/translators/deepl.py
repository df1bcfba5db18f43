"""Translation by DeepL's API, version 2: https://developers.deepl.com/api-reference/translate"""

import logging
from dataclasses import dataclass
from functools import partial
from itertools import permutations

import httpx

from src.adapters.translators.breaker import Breaker
from src.adapters.translators.remote import (
    Budget,
    ProviderFailed,
    RemoteCalls,
    RequestRefused,
    check_status,
    http_client,
    httpx_errors,
)
from src.domain.errors import TranslationUnavailable, UnsupportedLanguage
from src.domain.languages import LANGUAGES
from src.domain.speech import Translation
from src.utils.text import halves, joined

logger = logging.getLogger(__name__)

FREE_URL = "https://api-free.deepl.com"
PRO_URL = "https://api.deepl.com"

_MAX_TEXTS = 50  # in one request
_MAX_CONTEXT = 4000  # characters; a request may have 128 KiB in all

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class DeepLOptions:
    """How DeepL shall translate. `english` and `portuguese` are the variants of these as targets.

    `formality` is `prefer_more` or `prefer_less`, which DeepL ignores for a target that has no such forms; `more` and
    `less` would fail there.
    """

    english: str = "EN-US"
    portuguese: str = "PT-BR"
    formality: str | None = None
    glossary_id: str | None = None

    @property
    def variants(self) -> dict[str, str]:
        """The targets for which DeepL wants more than the bare language."""
        return {"en": self.english, "pt": self.portuguese, "zh": "ZH-HANS"}


class DeepLTranslator:
    """Implements the port `Translator`. `url` None: the host for the key's plan (keys of the free one end in `:fx`)."""

    def __init__(
        self,
        api_key: str,
        options: DeepLOptions | None = None,
        *,
        url: str | None = None,
        budget: Budget | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        budget = budget or Budget()
        self._routes = {pair: pair for pair in permutations(LANGUAGES, 2)}
        self._options = options or DeepLOptions()
        self.breaker = breaker or Breaker(self.name)
        self._calls = RemoteCalls(self.name, budget, self.breaker)
        self._client = http_client(
            url or host_of(api_key), budget, headers={"Authorization": f"DeepL-Auth-Key {api_key}"}
        )
        self._pairs_without_glossary: set[Pair] = set()

    @property
    def name(self) -> str:
        return "deepl"

    @property
    def variant(self) -> str:
        options = self._options
        return ",".join((*options.variants.values(), options.formality or "", options.glossary_id or ""))

    @property
    def contextual(self) -> bool:
        return True

    @property
    def routes(self) -> dict[Pair, tuple[str, ...]]:
        """Every pair of the service's languages: DeepL knows them all, as source and as target."""
        return dict(self._routes)

    async def translate(self, texts: tuple[str, ...], source: str, target: str) -> Translation:
        """All in one request where DeepL takes it, each text with the whole message as its context.

        Raises TranslationUnavailable and UnsupportedLanguage. `degraded` says when the glossary could not be used.
        """
        pair = (source, target)
        if pair not in self._routes:
            raise UnsupportedLanguage(f"DeepL does not translate {source} to {target}.")
        context = " ".join(texts)[:_MAX_CONTEXT] if len(texts) > 1 else ""
        deadline = self._calls.deadline()
        translated: list[str] = []
        try:
            for start in range(0, len(texts), _MAX_TEXTS):
                translated += await self._batch(texts[start : start + _MAX_TEXTS], context, pair, deadline)
        except RequestRefused as refusal:
            raise TranslationUnavailable(f"DeepL declined {source} to {target} ({refusal}).") from None
        degraded = (f"translation: deepl has no glossary for {source}>{target}",) if self._lacks_glossary(pair) else ()
        return Translation(tuple(translated), self.name, pair, degraded)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _batch(self, texts: tuple[str, ...], context: str, pair: Pair, deadline: float) -> tuple[str, ...]:
        try:
            return await self._calls.run(partial(self._ask, texts, context, pair), deadline)
        except RequestRefused as refusal:
            if refusal.status == 413:
                return await self._in_two(texts, context, pair, deadline)
            if refusal.status not in (400, 404) or not self._options.glossary_id or self._lacks_glossary(pair):
                raise
        logger.warning("deepl: the glossary does not serve %s>%s; translating without it", *pair)
        self._pairs_without_glossary.add(pair)
        return await self._batch(texts, context, pair, deadline)

    async def _in_two(self, texts: tuple[str, ...], context: str, pair: Pair, deadline: float) -> tuple[str, ...]:
        """What was too large at once, one half after the other."""
        if len(texts) == 1:
            return (await self._long_text(texts[0], context, pair, deadline),)
        middle = len(texts) // 2
        first = await self._batch(texts[:middle], context, pair, deadline)
        return first + await self._batch(texts[middle:], context, pair, deadline)

    async def _long_text(self, text: str, context: str, pair: Pair, deadline: float) -> str:
        """One text that alone is too large: cut where a sentence ends, or a word."""
        parts = halves(text)
        if parts is None:
            raise TranslationUnavailable("DeepL declined a single word as too large.")
        pieces = [(await self._batch((part,), context, pair, deadline))[0] for part in parts]
        return joined(pieces, pair[1])

    async def _ask(self, texts: tuple[str, ...], context: str, pair: Pair) -> tuple[str, ...]:
        """One request. Raises ProviderFailed and RequestRefused."""
        with httpx_errors():
            response = await self._client.post("/v2/translate", json=self._body(texts, context, pair))
        check_status(self.name, response.status_code, response.headers.get("Retry-After"))
        return _texts_of(response, len(texts))

    def _body(self, texts: tuple[str, ...], context: str, pair: Pair) -> dict[str, object]:
        source, target = pair
        body: dict[str, object] = {
            "text": texts,
            "source_lang": source.upper(),
            "target_lang": self._options.variants.get(target, target.upper()),
        }
        if context:
            body["context"] = context
        if self._options.formality:
            body["formality"] = self._options.formality
        if self._options.glossary_id and not self._lacks_glossary(pair):
            body["glossary_id"] = self._options.glossary_id
        return body

    def _lacks_glossary(self, pair: Pair) -> bool:
        return pair in self._pairs_without_glossary


def host_of(api_key: str) -> str:
    """Where this key is valid."""
    return FREE_URL if api_key.endswith(":fx") else PRO_URL


def _texts_of(response: httpx.Response, count: int) -> tuple[str, ...]:
    try:
        texts = tuple(item["text"] for item in response.json()["translations"])
    except (ValueError, KeyError, TypeError):
        raise ProviderFailed("its answer could not be read", retryable=False) from None
    if len(texts) != count or not all(isinstance(text, str) for text in texts):
        raise ProviderFailed(f"it answered {len(texts)} texts for {count}", retryable=False)
    return texts
