"""Speech to text, with times in the caller's own recording."""

from contextlib import suppress
from dataclasses import replace

from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood, UnsupportedLanguage
from src.domain.ports import Transcriber
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Segment, Transcript, Word
from src.services.deployment.languages import HEARING_HINT

_UNSURE, _UNSURE_OF_A_WORD, _WORD_SECONDS = 0.5, 0.75, 2.0
"""Probability of a detected language below which the caller is told; the second for speech of less than 2 s."""


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
        """What was said. Times count from the start of the audio that the caller sent, before it was trimmed.

        `language` None: the engine detects it, or assumes its only one; where it is not sure of it, one of `answerable`
        is preferred. Raises UnsupportedLanguage before any work, NoSpeechDetected, SpeechNotUnderstood.
        """
        self.require_languages(language, hints)
        try:
            transcript = await self._transcriber.transcribe(speech.audio, language, quality, hints)
        except (NoSpeechDetected, SpeechNotUnderstood) as error:  # what was damaged or cut off may be why
            raise type(error)(" ".join((str(error), *speech.notes))) from error
        if language is None and answerable and transcript.language not in answerable:
            transcript = await self._in_another(transcript, speech, quality, answerable, hints)
        offset = speech.offset_seconds
        return replace(
            transcript,
            segments=tuple(_later(segment, offset, transcript.language) for segment in transcript.segments),
            foreign=tuple((begin + offset, end + offset, code) for begin, end, code in transcript.foreign),
            unheard=tuple((begin + offset, end + offset) for begin, end in transcript.unheard),
        )

    def require_languages(self, language: str | None, hints: Hints) -> None:
        """Raises UnsupportedLanguage when the recogniser does not hear one that was named."""
        named = hints.languages if language is None else (language,)
        unheard = [code for code in named if code not in self._transcriber.languages]
        if unheard:
            heard = ", ".join(sorted(self._transcriber.languages)) or "nothing"
            raise UnsupportedLanguage(
                f"The recogniser {self.engine_name} hears {heard}, not {unheard[0]!r}. {HEARING_HINT}"
            )

    async def _in_another(
        self,
        transcript: Transcript,
        speech: DecodedSpeech,
        quality: Quality,
        answerable: frozenset[str],
        hints: Hints,
    ) -> Transcript:
        """One word is easily taken for another language: where it is not sure, the likeliest that can be answered."""
        likeliest = next((pair for pair in transcript.alternatives if pair[0] in answerable), None)
        if not _unsure(transcript) or likeliest is None:
            return transcript
        with suppress(NoSpeechDetected, SpeechNotUnderstood):
            heard = await self._transcriber.transcribe(speech.audio, likeliest[0], quality, hints)
            return replace(heard, language_probability=likeliest[1], sounds_like=None, foreign=())
        return transcript

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
    spoken = sum(segment.end - segment.start for segment in transcript.segments)
    bound = _UNSURE_OF_A_WORD if 0 < spoken < _WORD_SECONDS else _UNSURE
    return transcript.language_probability is not None and transcript.language_probability < bound


def _later(segment: Segment, seconds: float, language: str) -> Segment:
    words = tuple(Word(word.text, word.start + seconds, word.end + seconds, word.confidence) for word in segment.words)
    return replace(
        segment,
        start=segment.start + seconds,
        end=segment.end + seconds,
        words=words,
        language=segment.language or language,
    )
