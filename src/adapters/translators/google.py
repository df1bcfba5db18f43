"""Translation by Google Translate's public page, through deep-translator.

Without a key and without a contract: what people said goes to a third party, and Google may stop answering at any time.
"""

import asyncio
import importlib.util
import logging
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from types import ModuleType
from urllib.parse import quote

from src.adapters.translators.remote import (
    Breaker,
    Budget,
    Pair,
    ProviderFailed,
    RemoteTranslator,
    RequestRefused,
    check_status,
)
from src.domain.errors import EngineUnavailable, TranslationUnavailable
from src.domain.languages import LANGUAGES, joined
from src.domain.speech import AS_CONFIGURED, Translation, Wording
from src.utils.text import halves

URL = "https://translate.google.com/m"

_MAX_CHARACTERS = 4999  # deep-translator takes fewer than 5000
_MAX_ENCODED = 12_000  # bytes of a text in the address
_MAX_PAGE = 2**21  # bytes
_THREADS = 4
_CODES = {"zh": "zh-CN", "zh-Hans": "zh-CN", "zh-Hant": "zh-TW"}
"""Google's names of languages where they are not the service's."""


class GoogleTranslator(RemoteTranslator):
    """Implements the port `Translator`. Raises EngineUnavailable where deep-translator is not installed."""

    name, title = "google", "Google"

    def __init__(self, url: str = URL, *, budget: Budget | None = None, breaker: Breaker | None = None) -> None:
        budget = budget or Budget()
        super().__init__({pair: pair for pair in permutations(LANGUAGES, 2)}, budget, breaker)
        self._http = _BoundedRequests(self.name, budget)
        self._library = _deep_translator(url, self._http)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="google")
        self._free_threads = asyncio.Semaphore(_THREADS)

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        """Everything but the choice between the two Chinese scripts."""
        return tuple(name for name in wording.asked if name != "target_variant" or target != "zh")

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        """Text by text, a few at a time. Raises TranslationUnavailable and UnsupportedLanguage."""
        pair = (source, target)
        variant = (wording.target_variant or "zh-Hans") if target == "zh" else None
        codes = (_CODES.get(source, source), _CODES.get(variant or target, target))
        with self._translating(pair):
            translated = await self._all(texts, codes)
        return Translation(translated, self.name, pair, target_variant=variant)

    async def close(self) -> None:
        """Wait for the calls that are on their way, each bounded in time, and close the connections."""
        await asyncio.to_thread(partial(self._threads.shutdown, cancel_futures=True))
        self._http.close()

    async def _all(self, texts: tuple[str, ...], codes: Pair) -> tuple[str, ...]:
        """All of them, or the first error, with nothing left on its way."""
        deadline = self._calls.deadline()
        tasks = [asyncio.ensure_future(self._text(text, codes, deadline)) for text in texts]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _text(self, text: str, codes: Pair, deadline: float) -> str:
        """One text, in pieces when it is too long for an address. `codes`: Google's names of the two languages."""
        if not any(character.isalnum() for character in text):
            return text
        if len(text) > _MAX_CHARACTERS or len(quote(text)) > _MAX_ENCODED:
            parts = halves(text, codes[0].partition("-")[0])
            if parts is None:
                raise TranslationUnavailable("A word is too long for Google.")
            pieces = [await self._text(part, codes, deadline) for part in parts]
            return joined(pieces, codes[1].partition("-")[0])
        async with self._thread(deadline):
            return await self._calls.run(partial(self._in_thread, text, codes), deadline)

    @asynccontextmanager
    async def _thread(self, deadline: float) -> AsyncIterator[None]:
        """Waits for a free thread: outside the attempt, whose time is Google's alone."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._free_threads.acquire()
        except TimeoutError:
            raise TranslationUnavailable("Google did not get to every sentence in time.") from None
        try:
            yield
        finally:
            self._free_threads.release()

    async def _in_thread(self, text: str, codes: Pair) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, text, codes)

    def _ask(self, text: str, codes: Pair) -> str:
        """One request, blocking. Raises ProviderFailed and RequestRefused; the library's errors hold the text."""
        source, target = codes
        try:
            answer = self._library.GoogleTranslator(source=source, target=target).translate(text)
        except (ProviderFailed, RequestRefused):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the library raises, its words are not repeated
            raise ProviderFailed(f"deep-translator failed ({type(error).__name__})", retryable=False) from None
        if not isinstance(answer, str):
            raise ProviderFailed("its answer could not be read", retryable=False)
        return answer


def _deep_translator(url: str, http: "_BoundedRequests") -> ModuleType:
    """A copy of the library's module for Google that asks `url` through `http`.

    The module calls `requests.get` without a time-out, and a thread that waits for ever cannot be ended.
    """
    try:
        spec = importlib.util.find_spec("deep_translator.google")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.loader is None:
        raise EngineUnavailable("TRANSLATION_ENGINES names google, which needs the Python package deep-translator.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(requests=http, BASE_URLS={"GOOGLE_TRANSLATE": url})
    return module


@dataclass(frozen=True, slots=True)
class _Page:
    """What deep-translator reads of a response."""

    text: str
    status_code: int = 200

    def close(self) -> None:
        """It was read to its end."""


class _BoundedRequests:
    """`requests`, as far as deep-translator uses it, with kept connections and bounds on time and size."""

    def __init__(self, name: str, budget: Budget) -> None:
        import requests  # noqa: PLC0415 - comes with deep-translator, which only this engine needs
        import urllib3  # noqa: PLC0415

        self._name = name
        self._budget = budget
        self._failures = (requests.RequestException, urllib3.exceptions.HTTPError)
        self._session = requests.Session()
        logging.getLogger("urllib3.connectionpool").addFilter(_without_queries)

    def get(self, url: str, params: Mapping[str, str], proxies: dict[str, str] | None = None) -> _Page:
        """Raises ProviderFailed and RequestRefused, also for a status that is not 200."""
        timeout = (self._budget.connect_seconds, self._budget.attempt_seconds)
        ends = time.monotonic() + self._budget.attempt_seconds
        try:
            with self._session.get(url, params=params, proxies=proxies, timeout=timeout, stream=True) as response:
                check_status(self._name, response.status_code, response.headers.get("Retry-After"))
                page = bytearray()
                # read1 returns what is there; iter_content would wait until its chunk is full, however slowly it fills.
                while chunk := response.raw.read1(16384, decode_content=True):
                    page += chunk
                    if time.monotonic() > ends or len(page) > _MAX_PAGE:
                        raise ProviderFailed("its answer was too slow or too long", retryable=True)
                return _Page(page.decode(response.encoding or "utf-8", errors="replace"))
        except self._failures as error:
            raise ProviderFailed(f"connection failed ({type(error).__name__})", retryable=True) from None

    def close(self) -> None:
        self._session.close()


def _without_queries(record: logging.LogRecord) -> bool:
    """The query of an address is the text that somebody said."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True
