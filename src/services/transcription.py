"""Speech to text, with times in the caller's own recording. A long one is heard in pieces, one after another, cut in
pauses, so that no word is divided.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood, UnsupportedLanguage, VoiceServiceError
from src.domain.ports import Transcriber
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Segment, Transcript, Word
from src.services.deployment.languages import HEARING_HINT
from src.utils.concurrency import in_order

Span = tuple[float, float]

_PAUSE_SECONDS = 0.3
_LEAST_SECONDS = 6.0
"""Of speech in a piece: of less, a language is taken for another."""


@dataclass(frozen=True, slots=True)
class _Length:
    """`least` seconds of speech, or more, and at most `most` seconds in all where there is a pause."""

    least: float
    most: float


_FIRST, _NEXT = _Length(4.0, 12.0), _Length(_LEAST_SECONDS, 28.0)
"""The first is short, to be answered soon; the next are as long as Whisper hears at once, as context helps."""


def pieces(speech: DecodedSpeech) -> tuple[Span, ...]:
    """Spans (begin, end) in seconds, in order, that together are all of the recording. What is short, or has no pause,
    is one piece.
    """
    cuts, stretches = [0.0], list(speech.stretches)
    while (taken := _taken(stretches, cuts[-1], _NEXT if cuts[1:] else _FIRST)) is not None:
        cuts.append((stretches[taken - 1][1] + stretches[taken][0]) / 2)
        stretches = stretches[taken:]
    return tuple(pairwise((*cuts, speech.audio.duration_seconds)))


def part(audio: Audio, span: Span) -> Audio:
    begin, end = (round(seconds * audio.sample_rate) for seconds in span)
    return Audio(audio.samples[begin:end], audio.sample_rate)


def _taken(stretches: Sequence[Span], begin: float, length: _Length) -> int | None:
    """How many stretches the piece at `begin` has: up to its longest pause, or the first where all come too late. None:
    all that are left.
    """
    pauses = {
        index: after[0] - before[1]
        for index, (before, after) in enumerate(pairwise(stretches), 1)
        if after[0] - before[1] >= _PAUSE_SECONDS
        and _seconds(stretches[:index]) >= length.least
        and _seconds(stretches[index:]) >= _LEAST_SECONDS
    }
    soon = {index: pause for index, pause in pauses.items() if stretches[index - 1][1] - begin <= length.most}
    return max(soon, key=lambda index: soon[index]) if soon else min(pauses, default=None)


def _seconds(stretches: Sequence[Span]) -> float:
    return sum(end - begin for begin, end in stretches)


_UNSURE, _UNSURE_OF_A_WORD, _WORD_SECONDS = 0.5, 0.75, 2.0
"""Probability of a detected language below which the caller is told; the second for speech of less than 2 s."""

_AT_ONCE = 4
"""Pieces of a recording that are heard at the same time, after the first, which is heard alone to be answered soon."""

_Found = tuple[Span, Transcript | VoiceServiceError]
"""What was heard in a piece, or why nothing was."""


class Transcription:
    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber

    @property
    def engine_name(self) -> str:
        return self._transcriber.name

    async def transcribe(
        self,
        speech: DecodedSpeech,
        language: str | None,
        quality: Quality,
        answerable: frozenset[str] | None = None,
        hints: Hints = NO_HINTS,
    ) -> Transcript:
        """What was said, as a whole; as of `in_pieces`."""
        async with aclosing(self.in_pieces(speech, language, quality, answerable, hints)) as heard:
            return merged([transcript async for transcript in heard])

    async def in_pieces(
        self,
        speech: DecodedSpeech,
        language: str | None,
        quality: Quality,
        answerable: frozenset[str] | None = None,
        hints: Hints = NO_HINTS,
    ) -> AsyncGenerator[Transcript]:
        """What was said, a piece of the recording after the other, as it is heard. Times count from the start of the
        audio that the caller sent, before it was trimmed. What of a piece is not understood is `unheard`.

        `language` None: the engine detects it, or assumes its only one; where it is not sure of it, the language of the
        pieces before is preferred, and one of `answerable`.

        Raises UnsupportedLanguage before any work; NoSpeechDetected, SpeechNotUnderstood or UnsupportedLanguage when
        nothing at all is understood.
        """
        self.require_languages(language, hints)
        hear = partial(self._hear, speech, language, quality, hints)
        said, failure = None, None
        async with aclosing(in_order(_each(pieces(speech)), hear, at_once=_AT_ONCE, first_alone=True)) as heard:
            async for span, found in heard:
                if isinstance(found, VoiceServiceError):
                    failure = failure or found
                    transcript = Transcript((), language or "", None, 0.0, unheard=(span,))
                else:
                    preferred = frozenset({said}) if said is not None else answerable
                    transcript = await self._preferring(preferred, found, speech, span, language, quality, hints)
                    said = transcript.language
                yield _later(transcript, speech.offset_seconds)
        if said is None and failure is not None:
            raise failure

    async def _hear(
        self, speech: DecodedSpeech, language: str | None, quality: Quality, hints: Hints, span: Span
    ) -> _Found:
        """Times count from the start of `speech`. The error says why nothing is understood."""
        try:
            heard = await self._transcriber.transcribe(part(speech.audio, span), language, quality, hints)
        except (NoSpeechDetected, SpeechNotUnderstood) as error:  # what was damaged or cut off may be why
            return span, type(error)(" ".join((str(error), *speech.notes)))
        except UnsupportedLanguage as error:
            return span, error
        return span, _later(heard, span[0])

    def require_languages(self, language: str | None, hints: Hints) -> None:
        """Raises UnsupportedLanguage when the recogniser does not hear one that was named."""
        named = hints.languages if language is None else (language,)
        unheard = [code for code in named if code not in self._transcriber.languages]
        if unheard:
            heard = ", ".join(sorted(self._transcriber.languages)) or "nothing"
            raise UnsupportedLanguage(
                f"The recogniser {self.engine_name} hears {heard}, not {unheard[0]!r}. {HEARING_HINT}"
            )

    async def _preferring(
        self,
        preferred: frozenset[str] | None,
        transcript: Transcript,
        speech: DecodedSpeech,
        span: Span,
        language: str | None,
        quality: Quality,
        hints: Hints,
    ) -> Transcript:
        """One word is easily taken for another language: where it is not sure, the likeliest of those preferred."""
        if language is not None or not preferred or transcript.language in preferred or not _unsure(transcript):
            return transcript
        likeliest = next((pair for pair in transcript.alternatives if pair[0] in preferred), None)
        if likeliest is None:
            return transcript
        _, heard = await self._hear(speech, likeliest[0], quality, hints, span)
        if isinstance(heard, VoiceServiceError):
            return transcript
        return replace(heard, language_probability=likeliest[1], sounds_like=None, foreign=())

    def degraded(self, transcript: Transcript, language: str | None) -> tuple[str, ...]:
        """What was not done as asked. `language`: what the caller named; else one that was assumed is said to be so."""
        notes = []
        if transcript.sounds_like is not None:
            named = "one of source_languages" if language is None else repr(language)
            notes.append(f"The recording sounds like {transcript.sounds_like!r}, not {named} as the request says.")
        if language is None and transcript.language_probability is None:
            notes.append(f"The language was not detected: {transcript.language!r} was assumed.")
        elif language is None and transcript.sounds_like is None and _unsure(transcript):
            notes.append(f"The language is not sure: {transcript.language!r} is the likeliest. Send source_language.")
        notes += [
            f"Speech from {begin:.1f} s to {end:.1f} s sounds like {code!r}, not {language!r} as the request says"
            + (f", and is heard as {code!r}." if _heard_as(transcript, begin, end, code) else ".")
            for begin, end, code in transcript.foreign
        ]
        notes += [
            f"Speech from {begin:.1f} s to {end:.1f} s could not be made out." for begin, end in transcript.unheard
        ]
        return tuple(notes)


def _heard_as(transcript: Transcript, begin: float, end: float, code: str) -> bool:
    return any(each.language == code and each.start < end and each.end > begin for each in transcript.segments)


def _unsure(transcript: Transcript) -> bool:
    spoken = _spoken_seconds(transcript)
    bound = _UNSURE_OF_A_WORD if 0 < spoken < _WORD_SECONDS else _UNSURE
    return transcript.language_probability is not None and transcript.language_probability < bound


def merged(transcripts: Sequence[Transcript]) -> Transcript:
    """One of all pieces, of which one or more is understood."""
    heard = [each for each in transcripts if each.segments]
    if len(transcripts) == 1 or not heard:
        return transcripts[0]
    spoken = dict.fromkeys((each.language for each in heard), 0.0)
    for each in heard:
        spoken[each.language] += _spoken_seconds(each)
    sounds = {each.sounds_like for each in heard}
    sounds_like = heard[0].sounds_like if len(sounds) == 1 else None
    detected = [each for each in heard if each.language_probability is not None]
    return Transcript(
        tuple(segment for each in heard for segment in each.segments),
        max(spoken, key=lambda code: spoken[code]),
        _mean([(each.language_probability or 0.0, _spoken_seconds(each)) for each in detected]) if detected else None,
        _mean([(each.confidence, _spoken_seconds(each)) for each in heard]),
        unheard=tuple(span for each in transcripts for span in each.unheard),
        sounds_like=sounds_like,
        foreign=tuple(stretch for each in heard for stretch in _foreign(each, whole=sounds_like is not None)),
        alternatives=heard[0].alternatives,
    )


def _foreign(transcript: Transcript, *, whole: bool) -> tuple[tuple[float, float, str], ...]:
    """Stretches in another language than the one that was named. `whole`: the whole message is said to be."""
    if transcript.sounds_like is None or whole:
        return transcript.foreign
    return ((transcript.segments[0].start, transcript.segments[-1].end, transcript.sounds_like),)


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else weighted[0][0]


def _spoken_seconds(transcript: Transcript) -> float:
    return sum(segment.end - segment.start for segment in transcript.segments)


async def _each(spans: Sequence[Span]) -> AsyncGenerator[Span]:
    for span in spans:
        yield span


def _later(transcript: Transcript, seconds: float) -> Transcript:
    return replace(
        transcript,
        segments=tuple(_moved(segment, seconds, transcript.language) for segment in transcript.segments),
        foreign=tuple((begin + seconds, end + seconds, code) for begin, end, code in transcript.foreign),
        unheard=tuple((begin + seconds, end + seconds) for begin, end in transcript.unheard),
    )


def _moved(segment: Segment, seconds: float, language: str) -> Segment:
    words = tuple(Word(word.text, word.start + seconds, word.end + seconds, word.confidence) for word in segment.words)
    return replace(
        segment,
        start=segment.start + seconds,
        end=segment.end + seconds,
        words=words,
        language=segment.language or language,
    )
