"""Translation by DeepL's API, version 2: https://developers.deepl.com/api-reference/translate"""

import logging
import math
import time
from dataclasses import dataclass
from functools import partial
from itertools import permutations

from src.adapters.translators.remote import (
    Breaker,
    Budget,
    Pair,
    RemoteTranslator,
    RequestRefused,
    check_status,
    http_client,
    httpx_errors,
    texts_of,
)
from src.domain.errors import TranslationUnavailable
from src.domain.languages import LANGUAGES, joined
from src.domain.speech import AS_CONFIGURED, Translation, Wording
from src.utils.text import halves

logger = logging.getLogger(__name__)

FREE_URL = "https://api-free.deepl.com"
PRO_URL = "https://api.deepl.com"

_MAX_TEXTS = 50  # in one request
_MAX_CONTEXT = 4000  # characters; a request may have 128 KiB in all
_DECLINED_SECONDS = 600.0  # before a glossary is tried again for a pair: somebody may have added it meanwhile
_MAX_DECLINED = 1000  # callers may name any number of glossaries that are none

_TARGETS = {"es-ES": "ES"}
"""DeepL's names of targets that are not the variant's in capitals."""

_FORMAL = frozenset({"de", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru"})
"""Targets with formality: https://developers.deepl.com/api-reference/translate#request-body-descriptions"""

_FORGIVING = {"more": "prefer_more", "less": "prefer_less"}
"""For other targets `more` fails the whole request, and `prefer_more`, which is otherwise the same, does not."""


_VARIANTS = {"en": "en-US", "pt": "pt-BR", "zh": "zh-Hans"}
"""Of the targets for which DeepL wants more than the bare language, where a caller names none: what most of their
speakers, and the voices of XTTS-v2, speak.
"""


class DeepLTranslator(RemoteTranslator):
    """Implements the port `Translator`. `url` None: the host for the key's plan (keys of the free one end in `:fx`)."""

    name, title, contextual = "deepl", "DeepL", True

    def __init__(
        self, api_key: str, *, url: str | None = None, budget: Budget | None = None, breaker: Breaker | None = None
    ) -> None:
        budget = budget or Budget()
        super().__init__({pair: pair for pair in permutations(LANGUAGES, 2)}, budget, breaker)
        self._client = http_client(
            url or host_of(api_key), budget, headers={"Authorization": f"DeepL-Auth-Key {api_key}"}
        )
        self._declined: dict[tuple[str | None, Pair], float] = {}

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        """Formality where the target has no such forms. A variant, a glossary and a context are always tried."""
        return tuple(name for name in wording.asked if name == "formality" and target not in _FORMAL)

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        """All in one request where DeepL takes it, each text with the whole message as its context.

        Raises TranslationUnavailable and UnsupportedLanguage. `degraded` says when the glossary could not be used.
        """
        pair = (source, target)
        message = self._message(texts, pair, wording)
        translated: list[str] = []
        with self._translating(pair):
            for start in range(0, len(texts), _MAX_TEXTS):
                translated += await self._batch(texts[start : start + _MAX_TEXTS], message)
        lacking = message.glossary_id is not None and not self._glossary_serves(message)
        degraded = (f"Translated without the glossary: it does not serve {source} to {target}.",) if lacking else ()
        return Translation(tuple(translated), self.name, pair, degraded, message.variant)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _message(self, texts: tuple[str, ...], pair: Pair, wording: Wording) -> "_Message":
        context = [wording.context or "", *(texts if len(texts) > 1 else ())]
        return _Message(
            pair=pair,
            variant=wording.target_variant or _VARIANTS.get(pair[1]),
            formality=wording.formality,
            glossary_id=wording.glossary_id,
            context=" ".join(part for part in context if part)[:_MAX_CONTEXT],
            deadline=self._calls.deadline(),
        )

    async def _batch(self, texts: tuple[str, ...], message: "_Message") -> tuple[str, ...]:
        try:
            return await self._calls.run(partial(self._ask, texts, message), message.deadline)
        except RequestRefused as refusal:
            if refusal.status == 413:
                return await self._in_two(texts, message)
            if refusal.status not in (400, 404) or not self._glossary_serves(message):
                raise
        logger.warning("deepl: the glossary does not serve %s>%s; translating without it", *message.pair)
        if len(self._declined) >= _MAX_DECLINED:
            self._declined.clear()
        self._declined[message.glossary_id, message.pair] = time.monotonic()
        return await self._batch(texts, message)

    async def _in_two(self, texts: tuple[str, ...], message: "_Message") -> tuple[str, ...]:
        """What was too large at once, one half after the other."""
        if len(texts) == 1:
            return (await self._long_text(texts[0], message),)
        middle = len(texts) // 2
        return await self._batch(texts[:middle], message) + await self._batch(texts[middle:], message)

    async def _long_text(self, text: str, message: "_Message") -> str:
        """One text that alone is too large: cut where a sentence ends, or a word."""
        parts = halves(text, message.pair[0])
        if parts is None:
            raise TranslationUnavailable("DeepL declined a single word as too large.")
        pieces = [(await self._batch((part,), message))[0] for part in parts]
        return joined(pieces, message.pair[1])

    async def _ask(self, texts: tuple[str, ...], message: "_Message") -> tuple[str, ...]:
        """One request. Raises ProviderFailed and RequestRefused."""
        body = {"text": texts, **message.parameters(with_glossary=self._glossary_serves(message))}
        with httpx_errors():
            response = await self._client.post("/v2/translate", json=body)
        check_status(self.name, response.status_code, response.headers.get("Retry-After"))
        return texts_of(response, lambda answer: [item["text"] for item in answer["translations"]], len(texts))

    def _glossary_serves(self, message: "_Message") -> bool:
        """Whether there is one and DeepL has not declined it for this pair lately."""
        declined = self._declined.get((message.glossary_id, message.pair), -math.inf)
        return message.glossary_id is not None and time.monotonic() - declined > _DECLINED_SECONDS


@dataclass(frozen=True, slots=True)
class _Message:
    """What all requests of one message have in common. `deadline`: on the event loop's clock."""

    pair: Pair
    variant: str | None
    formality: str | None
    glossary_id: str | None
    context: str
    deadline: float

    def parameters(self, *, with_glossary: bool) -> dict[str, str]:
        """DeepL's names for them, without those that are not given."""
        source, target = self.pair
        given = {
            "source_lang": source.upper(),
            "target_lang": _TARGETS.get(self.variant or "", (self.variant or target).upper()),
            "context": self.context,
            "formality": _FORGIVING.get(self.formality or "", self.formality),
            "glossary_id": self.glossary_id if with_glossary else None,
        }
        return {name: value for name, value in given.items() if value}


def host_of(api_key: str) -> str:
    """Where this key is valid."""
    return FREE_URL if api_key.endswith(":fx") else PRO_URL
