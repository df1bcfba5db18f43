"""One recording on its way to a transcript: which parts of it are still to be heard, and what was made out so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING

from src.domain.audio import Audio, Samples
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood, UnsupportedLanguage, VoiceServiceError
from src.domain.languages import LANGUAGES as SERVICE_LANGUAGES
from src.domain.speech import NO_HINTS, Hints, Quality, Segment, Transcript
from src.models.whisper.spoken_languages import (
    DECLARED,
    Probabilities,
    among,
    languages_of,
    spoken_instead,
    sure_of_another,
    surely_foreign,
)
from src.models.whisper.windows import Span, around, inside, phrases, repeated, uncovered, windows

if TYPE_CHECKING:
    from src.models.whisper.decoding import Decoded
    from src.models.whisper.recogniser import Window

MODEL_RATE = 16_000

_FLOOR, _FLOOR_OF_ANOTHER = 0.12, 0.3
"""Confidence below which a text is not what was said; the second where it sounds like another language than the named
one. English taken for Japanese has 0.003, clear speech 0.5 to 0.9.
"""
_ALTERNATIVES = 5
_AGAIN = 2
"""How often speech that was left out is heard again, each time in a window of its own."""
_ALIKE = 0.6
"""Share of equal letters of two hearings of one sentence."""
_SMALLER = 0.8
"""A window that gave no word is heard again only in pieces of at most this share of it."""


Stretch = tuple[Span, list[Span], str]
"""A window of one language, the speech in it, the language."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One caller's recording. `language` None: detect it."""

    audio: Audio
    language: str | None
    quality: Quality
    hints: Hints = NO_HINTS


@dataclass(slots=True, eq=False)
class Doubt:
    """A segment that may stand for more than it says, over `speech`; what was heard of its phrases one by one, and how
    many are left to be heard.
    """

    segment: Segment
    speech: list[Span]
    left: int
    heard: list[Segment] = field(default_factory=list)

    @property
    def better(self) -> list[Segment]:
        """The phrases, when they say, each, what the segment says."""
        again = [segment for segment in self.heard if _alike(segment.text, self.segment.text)]
        return self.heard if len(again) > 1 and len(again) == len(self.heard) else [self.segment]


@dataclass(slots=True, eq=False)
class Part:
    """What goes through the network at once. Times in seconds of the recording.

    `speech`: the stretches of it. `again`: how often its speech was heard before, `doubt`: as what. `language`: None
    until it is known. `attempts`: how many were made; `best`: what the best of them made out.
    """

    begin: float
    end: float
    window: "Window"
    speech: list[Span]
    again: int = 0
    doubt: Doubt | None = None
    language: str | None = None
    detected: Probabilities | None = None
    attempts: int = 0
    best: "Decoded | None" = None

    @property
    def seconds(self) -> float:
        """Of speech."""
        return sum(end - begin for begin, end in self.speech)

    def keep(self, decoded: "Decoded") -> None:
        """The better of two attempts: one that does not repeat itself without end, and of these the likelier."""
        if self.best is None or decoded.rank > self.best.rank:
            self.best = decoded


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What is heard again: a window (begin, end), the speech in it, and the segment that is doubted."""

    span: Span
    speech: list[Span]
    doubt: Doubt | None = None


@dataclass(slots=True, eq=False)
class Hearing:
    """`parts`: those that are still to be detected or decoded, in order; `whole`: what they were before they became
    phrases, to listen to each alone. `result`: the transcript, or what is wrong with the clip, once there are none.
    """

    clip: Clip
    samples: Samples  # float32 [n] at 16 kHz
    speech: list[Span]
    languages: frozenset[str]
    parts: list[Part]
    whole: list[Part] = field(default_factory=list)
    probability: float | None = None
    sounds_like: str | None = None
    foreign: list[tuple[float, float, str]] = field(default_factory=list)
    alternatives: list[tuple[str, float]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    unheard: list[Span] = field(default_factory=list)
    log_probability: float = 0.0
    tokens: int = 0
    result: Transcript | VoiceServiceError | None = None
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody wants the transcript. Any thread may say so; the network stops between two tokens."""
        self.cancelled = True

    @property
    def undetected(self) -> Part | None:
        """The next part whose language is to be looked at."""
        return next((part for part in self.parts if part.detected is None and part.language is None), None)

    def choose(self, code: str) -> None:
        """All is in one language."""
        for part in self.parts:
            part.language = code

    def judge_declared(self, language: str) -> None:
        """The caller names the language: that is the one, and when it plainly sounds like another, that is said."""
        self.sounds_like = self._other(self.parts, language)
        self.choose(language)

    def _other(self, parts: Sequence[Part], language: str) -> str | None:
        return spoken_instead(among(_mean(parts), self.languages), language, _seconds(parts))

    def judge_declared_phrases(self, language: str) -> "list[Stretch]":
        """Phrases that plainly are in another language than the one that the caller named are told. Those that are by
        the sequence of all phrases are heard in their own: windows as of `judge_phrases`.
        """
        told = [among(part.detected or {}, self.languages) for part in self.parts]
        surely = languages_of([(each, part.seconds) for each, part in zip(told, self.parts, strict=True)], language)
        for part, probabilities, sure in zip(self.parts, told, surely, strict=True):
            other = spoken_instead(probabilities, language, part.seconds) if sure == language else sure
            if other is not None:
                self.foreign.append((part.begin, part.end, other))
        others = {code for _, _, code in self.foreign}
        if len(self.foreign) == len(self.parts) and len(others) == 1:
            self.sounds_like, self.foreign = others.pop(), []
            self._join(language)
            return []
        if not self.foreign:  # a phrase alone is less sure than all of them
            self.sounds_like = self._other(self.whole, language)
        return self._stretches(surely)

    def judge_one(self) -> None:
        """All is in the language that is the likeliest for all parts together, or in none of the service's."""
        detected = _mean(self.parts)
        heard, sure = max(detected.items(), key=lambda pair: pair[1])
        others, seconds = heard not in self.languages and not self.clip.hints.languages, _seconds(self.parts)
        if others and surely_foreign(sure, seconds):
            names = ", ".join(SERVICE_LANGUAGES)
            self.result = UnsupportedLanguage(
                f"The recording sounds like {heard!r}, which is not one of {names}. If it is one of them, send"
                " source_language, or the likely ones as source_languages."
            )
            return
        known = {code: detected.get(code, 0.0) for code in self.languages}
        if self.clip.hints.languages and sure >= sure_of_another(seconds) and sum(known.values()) <= DECLARED:
            self.sounds_like = heard
        self.alternatives = sorted(known.items(), key=lambda pair: pair[1], reverse=True)[:_ALTERNATIVES]
        best, self.probability = self.alternatives[0]
        self.choose(best)

    def judge_phrases(self) -> "list[Stretch]":
        """Windows of one language each, with their speech; none where all phrases are in one language after all."""
        told = [(among(part.detected or {}, self.languages), part.seconds) for part in self.parts]
        chosen = languages_of(told)
        self.probability = sum(
            probabilities[code] * seconds for code, (probabilities, seconds) in zip(chosen, told, strict=True)
        ) / sum(seconds for _, seconds in told)
        return self._stretches(chosen)

    def _stretches(self, chosen: Sequence[str]) -> "list[Stretch]":
        if len(set(chosen)) == 1:
            self._join(chosen[0])
            return []
        runs: list[tuple[str, list[Span]]] = []
        for code, part in zip(chosen, self.parts, strict=True):
            if runs and runs[-1][0] == code:
                runs[-1][1].extend(part.speech)
            else:
                runs.append((code, list(part.speech)))
        borders = [
            0.0,
            *((before[-1][1] + after[0][0]) / 2 for (_, before), (_, after) in pairwise(runs)),
            len(self.samples) / MODEL_RATE,
        ]
        return [
            (span, inside(speech, *span), code)
            for (code, speech), (begin, end) in zip(runs, pairwise(borders), strict=True)
            for span in windows(speech, begin, end)
        ]

    def _join(self, language: str) -> None:
        """Phrases are heard in the windows in which they were, which are encoded already."""
        self.parts = self.whole
        self.choose(language)

    def take(self, part: Part, segments: Sequence[Segment]) -> list[Rest]:
        """A part is done. Returns what of it shall be heard again."""
        self.parts.remove(part)
        moved = [_moved(segment, part.begin, part.language or "en") for segment in segments]
        if moved and part.best is not None:
            count = len(part.best.tokens) + 1
            self.log_probability += part.best.log_probability * count
            self.tokens += count
        if part.doubt is not None:
            return self._settle(part.doubt, moved)
        doubts = [] if part.again else [doubt for segment in moved if (doubt := _doubted(segment, part.speech))]
        doubted = [doubt.segment for doubt in doubts]
        self.segments += [segment for segment in moved if segment not in doubted]
        # what a doubted segment leaves out is looked for when it is settled
        left = uncovered(part.speech, [replace(each, words=()) if each in doubted else each for each in moved])
        if part.again == _AGAIN:
            self.unheard += left
            return []
        rest = self._left_out(left, (part.begin, part.end), whole=not moved)
        for doubt in doubts:
            for phrase in repeated(doubt.segment, part.speech):
                rest.append(Rest(around(phrase, part.begin, part.end), phrase, doubt))
        return rest

    def _settle(self, doubt: Doubt, heard: list[Segment]) -> list[Rest]:
        doubt.heard += heard
        doubt.left -= 1
        if doubt.left:
            return []
        self.segments += doubt.better
        within = (doubt.segment.start, doubt.segment.end)
        return self._left_out(uncovered(doubt.speech, doubt.better), within, whole=False)

    def _left_out(self, left: list[Span], within: Span, *, whole: bool) -> list[Rest]:
        begin, end = within
        found: list[Rest] = []
        for phrase in phrases(left):
            span = around(phrase, begin, end)
            if whole and span[1] - span[0] > _SMALLER * (end - begin):
                self.unheard += phrase
            else:
                found += [Rest(window, inside(phrase, *window)) for window in windows(phrase, *span)]
        return found

    def finish(self) -> None:
        """All parts are done."""
        if not self.segments:
            self.result = NoSpeechDetected("No words could be made out in the recording.")
            if self.sounds_like is not None:
                self.result = SpeechNotUnderstood(_not_understood(self.clip, self.sounds_like))
            return
        confidence = min(1.0, math.exp(self.log_probability / self.tokens))
        segments = sorted(self.segments, key=lambda segment: segment.start)
        spoken: dict[str, float] = {}
        for segment in segments:
            code = segment.language or ""
            spoken[code] = spoken.get(code, 0.0) + segment.end - segment.start
        if confidence < (_FLOOR if self.sounds_like is None else _FLOOR_OF_ANOTHER):
            self.result = SpeechNotUnderstood(_not_understood(self.clip, self.sounds_like))
            return
        self.result = Transcript(
            tuple(segments),
            max(spoken, key=lambda code: spoken[code]),
            self.probability,
            confidence,
            unheard=tuple(sorted(self.unheard)),
            sounds_like=self.sounds_like,
            foreign=tuple(self.foreign),
            alternatives=tuple(self.alternatives),
        )


def _seconds(parts: Sequence[Part]) -> float:
    """Of speech."""
    return sum(part.seconds for part in parts)


def _doubted(segment: Segment, speech: list[Span]) -> Doubt | None:
    said = repeated(segment, speech)
    return Doubt(segment, inside(speech, segment.start, segment.end), len(said)) if said else None


def _alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False).ratio() >= _ALIKE


def _mean(parts: Sequence[Part]) -> Probabilities:
    """Over all parts, each by its speech."""
    total = _seconds(parts)
    codes = parts[0].detected or {}
    return {code: sum((part.detected or {})[code] * part.seconds for part in parts) / total for code in codes}


def _moved(segment: Segment, seconds: float, language: str) -> Segment:
    words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words)
    start, end = segment.start + seconds, segment.end + seconds
    return replace(segment, start=start, end=end, words=words, language=language)


def _not_understood(clip: Clip, sounds_like: str | None) -> str:
    if sounds_like is not None:
        named = clip.language or ", ".join(clip.hints.languages)
        return f"The recording sounds like {sounds_like!r}, not {named!r}. Send that source_language, or none."
    return "Somebody speaks, but too little is understood of it. Record it again, nearer and with less noise."
