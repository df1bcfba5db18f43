"""Translation with Apertium's installed pairs, over a middle language where no direct pair is installed."""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from src.adapters.translators.apertium_modes import (
    ApertiumPipeline,
    Pair,
    PipelineFailedError,
    installed_modes,
    modes_directories,
    shortest_routes,
)
from src.adapters.translators.apertium_phrases import continuing, opening, politely, whole
from src.domain.errors import TranslationUnavailable, UnsupportedLanguage
from src.domain.languages import joined
from src.domain.speech import AS_CONFIGURED, Translation, Wording
from src.utils.text import split_sentences

logger = logging.getLogger(__name__)

_MOST_NAMED = 10
_FIRST_WORD = re.compile(r"\W*(\w[\w'’-]*)")
INSTALL_HINT = (
    "Apertium translates with the pairs installed on this machine: install the Debian packages apertium and "
    "apertium-eng-spa, apertium-fr-es, apertium-es-pt, apertium-spa-ita or others named apertium-*."
)


class ApertiumTranslator:
    """Implements the port `Translator`.

    `timeout_seconds` is for one call of `translate`, waiting for others included. `modes_dir` None: where packages put
    their modes. A route has at most `max_hops` pairs. Each pair has one pipeline (40 to 110 MB); of the idle ones
    the last used are kept running, `max_pipelines` in all.
    """

    def __init__(
        self, timeout_seconds: float = 20.0, *, modes_dir: Path | None = None, max_hops: int = 3, max_pipelines: int = 6
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._modes = installed_modes(modes_directories() if modes_dir is None else (modes_dir,))
        self._routes = shortest_routes(self._modes, max_hops)
        self._max_pipelines = max_pipelines
        self._pipelines: OrderedDict[Pair, ApertiumPipeline] = OrderedDict()  # least recently used first
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return "apertium"

    @property
    def configuration(self) -> str:
        return ""

    @property
    def contextual(self) -> bool:
        return False

    @property
    def routes(self) -> dict[Pair, tuple[str, ...]]:
        """Every pair that works, with the languages passed through; empty when Apertium is not installed."""
        return dict(self._routes)

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        """All of it."""
        return wording.asked

    async def translate(
        self, texts: tuple[str, ...], source: str, target: str, wording: Wording = AS_CONFIGURED
    ) -> Translation:
        """Translate each text by itself, sentence by sentence. Text without capitals comes back without capitals, and
        `degraded` names the words that Apertium does not know.

        Raises UnsupportedLanguage without a route, TranslationUnavailable when Apertium dies or takes too long.
        """
        route = self._routes.get((source, target))
        if route is None:
            raise UnsupportedLanguage(f"Apertium has no route from {source} to {target}. {INSTALL_HINT}")
        unknown: dict[str, None] = {}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                translated = tuple([await self._message(text, route, unknown) for text in texts])
        except TimeoutError:
            detail = f"Apertium did not answer within {self._timeout_seconds:g} s."
            raise TranslationUnavailable(detail) from None
        except PipelineFailedError as error:
            logger.warning("apertium failed on %s: %s", ">".join(route), error)
            raise TranslationUnavailable(f"Apertium failed on the route {'>'.join(route)}.") from error
        return Translation(translated, f"apertium ({'>'.join(route)})", route, _unknown(unknown))

    async def close(self) -> None:
        """End all pipelines."""
        while self._pipelines:
            _, pipeline = self._pipelines.popitem()
            await pipeline.stop()
        await asyncio.gather(*self._stopping)

    async def _message(self, text: str, route: tuple[str, ...], unknown: dict[str, None]) -> str:
        """A text sentence by sentence; words that no dictionary has are added to `unknown`."""
        source, target = route[0], route[-1]
        sentences = split_sentences(text.encode(errors="replace").decode(), source) or (text,)
        return joined([await self._sentence(sentence, route, unknown) for sentence in sentences], target)

    async def _sentence(
        self, sentence: str, route: tuple[str, ...], unknown: dict[str, None], *, begins: bool = True
    ) -> str:
        known = whole(sentence, route[0], route[-1])
        if known is not None:
            return known
        said, rest = opening(sentence, route[0], route[-1])
        if said:
            answer = continuing(rest, route[0], await self._sentence(rest, route, unknown, begins=False))
            return said + (_as_in_dictionary(answer, route[-1]) if said[0].isupper() else answer)
        for pair in pairwise(route):
            first = _FIRST_WORD.match(sentence) if begins else None
            sentence, missing = await self._through(pair, sentence)
            # a capital inside a sentence is a name's, which stays as it is
            unknown |= dict.fromkeys(w for w in missing if not w[:1].isupper() or (first and w == first[1]))
        return sentence

    async def _through(self, pair: Pair, text: str) -> tuple[str, tuple[str, ...]]:
        """Along one pair; once more from the start when a kept pipeline turns out to be dead."""
        async with self._pipeline(pair) as pipeline:
            was_running = pipeline.running
            try:
                return await _translate(pipeline, pair, text)
            except PipelineFailedError:
                if not was_running:
                    raise
            return await _translate(pipeline, pair, text)

    @asynccontextmanager
    async def _pipeline(self, pair: Pair) -> AsyncIterator[ApertiumPipeline]:
        """The pair's pipeline, for this caller alone; afterwards those that are one too many end."""
        pipeline = self._pipelines.setdefault(pair, ApertiumPipeline(self._modes[pair]))
        self._pipelines.move_to_end(pair)
        pipeline.users += 1
        try:
            async with pipeline.lock:
                yield pipeline
        finally:
            pipeline.users -= 1
            self._end_surplus()

    def _end_surplus(self) -> None:
        idle = [pair for pair, pipeline in self._pipelines.items() if pipeline.users == 0]
        for pair in idle[: max(0, len(self._pipelines) - self._max_pipelines)]:
            task = asyncio.create_task(self._pipelines.pop(pair).stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


async def _translate(pipeline: ApertiumPipeline, pair: Pair, text: str) -> tuple[str, tuple[str, ...]]:
    """And the words that the dictionary does not have."""
    if not any(character.isalpha() for character in text):
        return text, ()
    try:
        translated, unknown = await pipeline.translate(_as_in_dictionary(text, pair[0]))
    except BaseException:
        # An answer that nobody reads would be taken for the next text's.
        pipeline.kill()
        raise
    translated = politely(text, pair, translated)
    # A lone pronoun can vanish in a language that leaves pronouns out; nothing that was said may vanish.
    return (_with_case_of(text, translated) if translated else text), unknown


def _unknown(words: Iterable[str]) -> tuple[str, ...]:
    named = list(words)
    if not named:
        return ()
    shown = ", ".join(named[:_MOST_NAMED]) + (" …" if len(named) > _MOST_NAMED else "")
    return (f"apertium does not know these words and left them as they are: {shown}",)


_LONE_I = re.compile(r"\bi\b(?=$|[\s.,;:!?]|'(?:m|ll|ve|d)\b)")
_PROPER = re.compile(
    r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|april|june|july|august|september|october"
    r"|november|december|english|french|spanish|german|italian|portuguese)\b"
)


def _as_in_dictionary(text: str, language: str) -> str:
    """A recogniser writes no capitals, and Apertium's English knows `I` and `Friday` only with theirs."""
    if language != "en":
        return text
    return _PROPER.sub(lambda match: match[0].capitalize(), _LONE_I.sub("I", text))


def _with_case_of(text: str, translated: str) -> str:
    """Transfer rules move words with their capitals: put right what can be told from the original text."""
    if not any(character.isupper() for character in text):
        return translated.lower()
    if text[:1].isupper():
        return translated[:1].upper() + translated[1:]
    return translated
