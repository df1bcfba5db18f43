"""The transcription use case over a fake engine."""

from dataclasses import dataclass, replace

import pytest

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, UnsupportedLanguage
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Segment, Transcript
from src.services.transcription import Transcription
from tests.fakes.fakes import FakeTranscriber, Gate, tone

SPEECH = DecodedSpeech(tone(1.0, 22_050), source_duration_seconds=3.0, offset_seconds=1.25)


async def test_times_count_from_the_start_of_the_callers_audio() -> None:
    engine = FakeTranscriber()
    raw = await engine.transcribe(SPEECH.audio, "en", Quality.FAST)
    transcript = await Transcription(engine).transcribe(SPEECH, "en", Quality.FAST)
    assert transcript.text == raw.text
    for before, after in zip(raw.segments, transcript.segments, strict=True):
        assert (after.start, after.end) == (before.start + 1.25, before.end + 1.25)
        assert [(word.start, word.end) for word in after.words] == [
            (word.start + 1.25, word.end + 1.25) for word in before.words
        ]
        assert [replace(word, start=0, end=0) for word in after.words] == [
            replace(word, start=0, end=0) for word in before.words
        ]


@pytest.mark.parametrize(("language", "candidates"), [("de", ()), (None, ("en", "de"))])
async def test_a_language_that_is_not_heard_is_refused_before_any_work(
    language: str | None, candidates: tuple[str, ...]
) -> None:
    closed = Gate()
    service = Transcription(FakeTranscriber(name="ear", languages=frozenset({"en"}), gate=closed))
    with pytest.raises(UnsupportedLanguage, match=r"ear hears en, not 'de'.*WHISPER_MODEL"):
        await service.transcribe(SPEECH, language, Quality.FAST, hints=Hints(candidates))
    assert closed.entered == 0


async def test_an_assumed_language_is_said_to_be_so() -> None:
    service = Transcription(FakeTranscriber())
    assumed = await service.transcribe(SPEECH, None, Quality.FAST)
    assert service.degraded(assumed, None) == ("The language was not detected: 'en' was assumed.",)
    assert service.degraded(assumed, "en") == (), "the caller named it"


async def test_nothing_said_is_passed_on() -> None:
    service = Transcription(FakeTranscriber(sentences=()))
    with pytest.raises(NoSpeechDetected):
        await service.transcribe(SPEECH, "en", Quality.FAST)


async def test_where_nothing_is_made_out_it_is_said_what_of_the_recording_is_missing() -> None:
    cut = replace(SPEECH, notes=("The file was cut off.",))
    with pytest.raises(NoSpeechDetected, match="The file was cut off"):
        await Transcription(FakeTranscriber(sentences=())).transcribe(cut, "en", Quality.FAST)


@pytest.mark.parametrize(("language", "text"), [("zh", "你好。再见。"), ("en", "你好。 再见。")])
def test_segments_are_joined_as_the_language_writes(language: str, text: str) -> None:
    segments = (Segment("你好。", 0, 1), Segment("再见。", 1, 2))
    assert Transcript(segments, language, 1.0, 1.0).text == text


@pytest.mark.parametrize(
    ("transcript", "named", "note"),
    [
        (
            Transcript((), "en", 0.9, 0.9, unheard=((1.0, 2.5),)),
            None,
            "Speech from 1.0 s to 2.5 s could not be made out.",
        ),
        (Transcript((), "ja", None, 0.5, sounds_like="en"), "ja", "The recording sounds like 'en', not 'ja'"),
        (Transcript((), "ja", 0.1, 0.5, sounds_like="en"), None, "The recording sounds like 'en', not one of source_"),
        (
            Transcript((Segment("Hola.", 1.1, 2.2, language="es"),), "en", None, 0.9, foreign=((1.0, 2.5, "es"),)),
            "en",
            "Speech from 1.0 s to 2.5 s sounds like 'es', not 'en' as the request says, and is heard as 'es'.",
        ),
        (
            Transcript((Segment("Olá.", 1.1, 2.2, language="en"),), "en", None, 0.9, foreign=((1.0, 2.5, "es"),)),
            "en",
            "Speech from 1.0 s to 2.5 s sounds like 'es', not 'en' as the request says.",
        ),
        (Transcript((), "es", 0.3, 0.5), None, "The language is not sure: 'es' is the likeliest."),
    ],
)
def test_what_was_not_heard_as_asked_is_said(transcript: Transcript, named: str | None, note: str) -> None:
    (said,) = Transcription(FakeTranscriber()).degraded(transcript, named)
    assert said.startswith(note)


@dataclass
class Guessing(FakeTranscriber):
    """Takes one short word for Japanese, and is not sure."""

    probability: float = 0.4

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        spoken = (Segment("word", 0.0, 0.8),)
        if language is not None:
            return Transcript(spoken, language, None, 0.6)
        return Transcript(spoken, "ja", self.probability, 0.4, alternatives=(("ja", self.probability), ("es", 0.2)))


@pytest.mark.parametrize(("probability", "language"), [(0.4, "es"), (0.95, "ja")])
async def test_a_word_whose_language_is_not_sure_is_heard_in_one_that_can_be_answered(
    probability: float, language: str
) -> None:
    service = Transcription(Guessing(probability=probability))
    transcript = await service.transcribe(SPEECH, None, Quality.FAST, frozenset({"en", "es"}))
    assert transcript.language == language
    assert any("not sure" in note for note in service.degraded(transcript, None)) is (language == "es")
