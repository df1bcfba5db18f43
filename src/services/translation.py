"""Text to text: the first engine that knows the pair and answers, with a cache in front of it."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from src.domain.errors import TranslationUnavailable, Unavailable, UnsupportedLanguage
from src.domain.identity import current_user
from src.domain.ports import Cache, Translator
from src.domain.speech import AS_CONFIGURED, Translation, Wording
from src.services.deployment.languages import TRANSLATING_HINT
from src.services.translation_check import fault, unchanged

logger = logging.getLogger(__name__)

_CACHE_SECONDS = 24 * 3600.0


Approve = Callable[[Translation], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A translation, and what the cache is to have of it, by key."""

    translation: Translation
    unkept: dict[str, bytes]

    def noting(self, *degraded: str) -> "_Draft":
        return replace(self, translation=replace(self.translation, degraded=degraded))


class _UnusableAnswer(TranslationUnavailable):
    """Its text says what is wrong with the answer."""


class TextTranslation:
    """`translators` in the order in which they are asked. What one user said is remembered for that user alone."""

    def __init__(self, translators: tuple[Translator, ...], cache: Cache) -> None:
        self._translators = translators
        self._cache = cache

    def sources_of(self, target: str) -> frozenset[str]:
        """The languages that can be translated into `target`, itself included."""
        pairs = (pair for translator in self._translators for pair in translator.routes)
        return frozenset({target, *(source for source, into in pairs if into == target)})

    async def translate(
        self,
        texts: tuple[str, ...],
        source: str | tuple[str, ...],
        target: str,
        wording: Wording = AS_CONFIGURED,
        approve: Approve | None = None,
    ) -> Translation:
        """The texts one by one in `target`. A text in its own language comes back as it is, from the engine `none`.

        source   of all texts, or of each
        approve  raises what it likes, and then nothing of the translation is kept

        `degraded` names the engines that should have answered and did not, what of `wording` was left aside, and the
        languages of a message of several that no engine knows: their texts stay as they are. Raises UnsupportedLanguage
        when no engine knows the language with the most text, TranslationUnavailable when none of those that know a
        pair answers; its `retry_after_seconds` is when the first of them may be back.
        """
        sources = (source,) * len(texts) if isinstance(source, str) else source
        said: dict[str, list[str]] = {}
        for text, spoken in zip(texts, sources, strict=True):
            said.setdefault(spoken, []).append(text)
        main = max(said, key=lambda language: sum(map(len, said[language])), default=target)
        drafts: dict[str, _Draft] = {}
        for language, mine in said.items():
            if language in (main, target) or self._knowing(language, target):
                drafts[language] = await self._draft(tuple(mine), language, target, wording)
            else:
                drafts[language] = _Draft(left_as_it_is(tuple(mine), language, target), {})
        draft = _joined(sources, drafts, main)
        if approve is not None:
            await approve(draft.translation)
        owner = current_user.get()
        writes = (self._cache.set(key, value, _CACHE_SECONDS, owner) for key, value in draft.unkept.items())
        await asyncio.gather(*writes)
        return draft.translation

    def _knowing(self, source: str, target: str) -> list[Translator]:
        return [translator for translator in self._translators if (source, target) in translator.routes]

    async def _draft(self, texts: tuple[str, ...], source: str, target: str, wording: Wording) -> _Draft:
        if source != target:
            return await self._ask(texts, source, target, wording)
        return _Draft(Translation(texts, "none", (source,), _left_aside(None, wording, wording.asked)), {})

    async def _ask(self, texts: tuple[str, ...], source: str, target: str, wording: Wording) -> _Draft:
        knowing = self._knowing(source, target)
        if not knowing:
            raise UnsupportedLanguage(f"No translation engine knows {source} to {target}. {TRANSLATING_HINT}")
        failures: list[str] = []
        waits: list[float] = []
        untranslated: _Draft | None = None
        for translator in knowing:
            try:
                draft = await self._cached(translator, texts, source, target, wording)
            except Unavailable as error:
                logger.warning("translation: %s did not answer: %s", translator.name, error.code)
                failures.append(_failure(translator.name, error))
                waits += [] if error.retry_after_seconds is None else [error.retry_after_seconds]
                continue
            unused = _left_aside(translator.name, wording, translator.unused(wording, target))
            same = sum(map(unchanged, texts, draft.translation.texts))
            if same:
                logger.warning("translation: %s gave %d texts back unchanged", translator.name, same)
                failures.append(
                    f"The translator {translator.name} gave {same} of {len(texts)} sentences back unchanged."
                )
                untranslated = untranslated or draft
                continue
            return draft.noting(*failures, *draft.translation.degraded, *unused)
        if untranslated is not None:
            return _Draft(untranslated.translation, {}).noting(*failures, *untranslated.translation.degraded)
        names = ", ".join(translator.name for translator in knowing)
        raise TranslationUnavailable(
            f"No translation engine answered for {source} to {target} (asked: {names}). Try again.",
            retry_after_seconds=min(waits, default=None),
        )

    async def _cached(
        self, translator: Translator, texts: tuple[str, ...], source: str, target: str, wording: Wording
    ) -> _Draft:
        """As the translator's answer, asking it only for what it was not asked before."""
        wanted = tuple(dict.fromkeys(texts))
        scope = _scope(translator, source, target, wording, texts)
        keys, owner = {text: _key(scope, text) for text in wanted}, current_user.get()
        found = await asyncio.gather(*(self._cache.get(key, owner) for key in keys.values()))
        known = {text: _unpack(packed) for text, packed in zip(wanted, found, strict=True) if packed is not None}
        missing = tuple(text for text in wanted if text not in known)
        unkept: dict[str, bytes] = {}
        if missing or not known:
            fresh = await _aligned(translator, missing, source, target, wording)
            answers = {text: replace(fresh, texts=(answer,)) for text, answer in zip(missing, fresh.texts, strict=True)}
            unkept = {keys[text]: _pack(answer) for text, answer in answers.items()}
            known |= answers
        else:
            fresh = known[wanted[0]]
        return _Draft(replace(fresh, texts=tuple(known[text].texts[0] for text in texts)), unkept)


async def _aligned(
    translator: Translator, texts: tuple[str, ...], source: str, target: str, wording: Wording
) -> Translation:
    translation = await translator.translate(texts, source, target, wording)
    if len(translation.texts) != len(texts):
        raise TranslationUnavailable(f"{translator.name} answered {len(translation.texts)} texts for {len(texts)}.")
    for text, answer in zip(texts, translation.texts, strict=True):
        wrong = fault(text, answer, source, target)
        if wrong is not None:
            raise _UnusableAnswer(f"{translator.name} answered what is no translation: {wrong}.")
    return translation


def _failure(name: str, error: Unavailable) -> str:
    if isinstance(error, _UnusableAnswer):
        return f"The answer of the translator {name} was no translation and was not used."
    return f"The translator {name} did not answer."


def left_as_it_is(texts: tuple[str, ...], source: str, target: str) -> Translation:
    """Of what no engine knows."""
    said = f"The part in '{source}' was not translated: no engine knows {source} to {target}."
    return Translation(texts, "none", (source,), (said,))


def merged(translations: Sequence[Translation]) -> Translation:
    """One of all pieces of a message."""
    return _as_one(tuple(text for each in translations for text in each.texts), translations, translations[0])


def _joined(sources: tuple[str, ...], drafts: dict[str, _Draft], main: str) -> _Draft:
    """The drafts of several languages as one, the texts in the order of `sources`. `main`: the one most is said in."""
    if len(drafts) == 1:
        return next(iter(drafts.values()))
    rest = {language: iter(draft.translation.texts) for language, draft in drafts.items()}
    texts = tuple(next(rest[language]) for language in sources)
    return _Draft(
        _as_one(texts, [draft.translation for draft in drafts.values()], drafts[main].translation),
        {key: value for draft in drafts.values() for key, value in draft.unkept.items()},
    )


def _as_one(texts: tuple[str, ...], parts: Iterable[Translation], main: Translation) -> Translation:
    """`main`: what stands for all where none of them was asked of an engine."""
    parts = list(parts)
    asked = [part for part in parts if part.engine != "none"] or [main]
    return Translation(
        texts,
        ", ".join(dict.fromkeys(part.engine for part in asked)),
        asked[0].route,
        tuple(dict.fromkeys(note for part in parts for note in part.degraded)),
        next((part.target_variant for part in asked if part.target_variant), None),
    )


def _left_aside(engine: str | None, wording: Wording, names: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence for each thing that was asked for and not done. `engine` None: nothing had to be translated."""
    reason = f"{engine} does not support it" if engine else "the message is in the target language already"
    asked = {"target_variant": f"regional variant {wording.target_variant}", "glossary_id": "glossary"}
    return tuple(f"Translated without the {asked.get(name, name)}: {reason}." for name in names)


def _scope(translator: Translator, source: str, target: str, wording: Wording, texts: tuple[str, ...]) -> str:
    """Where a text always has the same translation: for an engine that reads the message around it, in this message."""
    asked = (wording.target_variant, wording.formality, wording.glossary_id, wording.context)
    rest = [translator.configuration, *asked, *(texts if translator.contextual else ())]
    return f"translation:{translator.name}:{source}:{target}:{_hash(json.dumps(rest))}"


def _key(scope: str, text: str) -> str:
    return f"{scope}:{_hash(text)}"


def _hash(text: str) -> str:
    """So that no text shows in a list of keys."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _pack(translation: Translation) -> bytes:
    fields = (translation.engine, translation.route, translation.degraded, translation.target_variant)
    return json.dumps([translation.texts[0], *fields]).encode()


def _unpack(packed: bytes) -> Translation:
    text, engine, route, degraded, target_variant = json.loads(packed)
    return Translation((text,), engine, tuple(route), tuple(degraded), target_variant)
