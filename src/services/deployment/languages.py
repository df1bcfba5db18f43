"""What this deployment can do now, computed from the engines that are there."""

from dataclasses import dataclass

from src.domain.errors import EngineUnavailable, UnsupportedLanguage
from src.domain.languages import LANGUAGES, Language
from src.domain.ports import Transcriber, Translator, VoiceEngine

HEARING_HINT = "To hear other languages set WHISPER_MODEL to a multilingual model, such as base."
TRANSLATING_HINT = (
    "To translate other pairs set DEEPL_API_KEY, or install Debian's packages apertium-eng-spa, apertium-fr-es or "
    "others named apertium-*."
)
SPEAKING_HINT = "To speak other languages install Debian's espeak-ng."


@dataclass(frozen=True, slots=True)
class StageLanguages:
    """One engine and what it knows, in the service's order of languages."""

    engine: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """A translation that works from recording to speech. `route` is the languages passed through, ends included."""

    source: str
    target: str
    route: tuple[str, ...]
    engine: str


class LanguageCatalog:
    """`translators` in the order in which they are asked.

    The languages of engines that are elsewhere may change, and nobody may know them: then none are listed, and
    `require_pair` raises EngineUnavailable.
    """

    def __init__(self, transcriber: Transcriber, translators: tuple[Translator, ...], voice: VoiceEngine) -> None:
        self._transcriber = transcriber
        self._translators = translators
        self._voice = voice
        self._pairs: tuple[LanguagePair, ...] = ()
        self._pairs_of: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    @property
    def transcription(self) -> StageLanguages:
        return StageLanguages(self._transcriber.name, _listed(self._transcriber))

    @property
    def voice(self) -> StageLanguages:
        return StageLanguages(self._voice.name, _listed(self._voice))

    @property
    def pairs(self) -> tuple[LanguagePair, ...]:
        """What can be heard, translated and spoken, in the service's order of languages."""
        ends = hears, speaks = self.transcription.languages, self.voice.languages
        if ends != self._pairs_of:
            every = (self._translation(source, target) for source in hears for target in speaks if source != target)
            self._pairs, self._pairs_of = tuple(pair for pair in every if pair is not None), ends
        return self._pairs

    @property
    def languages(self) -> tuple[Language, ...]:
        """Every language that some stage of this deployment knows."""
        paired = {code for pair in self.pairs for code in (pair.source, pair.target)}
        known = paired.union(self.transcription.languages, self.voice.languages)
        return tuple(LANGUAGES[code] for code in _in_order(known))

    def require_pair(self, source: str | None, target: str) -> None:
        """Raises UnsupportedLanguage that names the stage that cannot do it and what to install.

        `source` None: the language is not known yet; some language that can be heard must lead to `target`. A message
        may also be spoken anew in its own language. Raises EngineUnavailable when nobody knows.
        """
        hears, speaks = _in_order(self._transcriber.languages), _in_order(self._voice.languages)
        if source is not None and source not in hears:
            raise UnsupportedLanguage(
                _cannot("Transcription", self._transcriber.name, "hears", hears, source, HEARING_HINT)
            )
        if target not in speaks:
            raise UnsupportedLanguage(_cannot("Voice", self._voice.name, "speaks", speaks, target, SPEAKING_HINT))
        sources = hears if source is None else (source,)
        if target not in sources and not any(self._translation(each, target) for each in sources):
            raise UnsupportedLanguage(self._no_translation(source or " or ".join(hears), target))

    def _no_translation(self, source: str, target: str) -> str:
        engines = ", ".join(translator.name for translator in self._translators) or "none"
        listed = ", ".join(f"{pair.source}>{pair.target}" for pair in self.pairs) or "none"
        return (
            f"Translation (engines: {engines}) has no way from {source} to {target}. Pairs that work: {listed}. "
            f"{TRANSLATING_HINT}"
        )

    def _translation(self, source: str, target: str) -> LanguagePair | None:
        """By the first translator that knows the pair."""
        for translator in self._translators:
            if (route := translator.routes.get((source, target))) is not None:
                return LanguagePair(source, target, route, translator.name)
        return None


def _listed(engine: Transcriber | VoiceEngine) -> tuple[str, ...]:
    try:
        return _in_order(engine.languages)
    except EngineUnavailable:
        return ()


def _in_order(codes: frozenset[str] | set[str]) -> tuple[str, ...]:
    return tuple(code for code in LANGUAGES if code in codes)


def _cannot(stage: str, engine: str, does: str, known: tuple[str, ...], wanted: str, hint: str) -> str:
    return f"{stage} ({engine}) {does} {', '.join(known) or 'nothing'}, not {wanted!r}. {hint}"
