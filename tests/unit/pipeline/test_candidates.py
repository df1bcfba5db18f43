"""`quality: high`: three takes at the same time, and the best of them."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio
from src.domain.errors import InternalError, NoSpeechDetected, Overloaded, UnsupportedLanguage, VoiceServiceError
from src.domain.speech import (
    NO_HINTS,
    Hints,
    Quality,
    Segment,
    SpeechRequest,
    Transcript,
    VoiceConditioning,
    VoicePrint,
)
from src.services import candidates
from src.services.candidates import Candidates
from src.services.voice_cloning import LearnedVoice, VoiceCloning
from src.utils.text import agreement
from tests.fakes.fake_stores import DictCache
from tests.fakes.fakes import FakeVoice

TEXT = "The train leaves at noon."
VOICE = VoicePrint((1.0, 0.0), 120.0, 0.3, (0.0,))
REQUEST = SpeechRequest((TEXT,), "en", VoiceConditioning("studio", b""), quality=Quality.HIGH)


@dataclass
class Said:
    """What becomes of one take. `delay` in seconds; `hears`: a text, or the recogniser's error."""

    similarity: float = 0.9
    hears: str | VoiceServiceError = TEXT
    error: VoiceServiceError | None = None
    delay: float = 0.0


@dataclass
class Studio:
    """An engine, analyser and recogniser in one, which know each other's takes by the level of their sound."""

    takes: list[Said]
    languages: frozenset[str] = frozenset({"en"})
    name: str = "studio"
    varies: bool = True
    speaking: int = 0
    most_speaking: int = 0
    cancelled: int = 0
    listened_with: list[Quality] = field(default_factory=list)

    async def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        return VoiceConditioning(self.name, b"")

    async def speak(self, request: SpeechRequest) -> Audio:
        said = self.takes[request.candidate]
        self.speaking += 1
        self.most_speaking = max(self.most_speaking, self.speaking)
        try:
            await asyncio.sleep(said.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.speaking -= 1
        if said.error is not None:
            raise said.error
        return Audio(np.full(240, request.candidate, np.float32), OUTPUT_SAMPLE_RATE)

    async def analyze(self, audio: Audio) -> VoicePrint:
        cosine = self._said(audio).similarity
        return VoicePrint((cosine, (1 - cosine**2) ** 0.5), 120.0, 0.3, (0.0,))

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        self.listened_with.append(quality)
        hears = self._said(audio).hears
        if isinstance(hears, VoiceServiceError):
            raise hears
        if not hears:
            raise NoSpeechDetected("Nobody speaks.")
        return Transcript((Segment(hears, 0.0, 1.0),), language or "en", None, 0.9)

    def _said(self, audio: Audio) -> Said:
        return self.takes[int(audio.samples[0])]


async def best(*said: Said, languages: frozenset[str] = frozenset({"en"})) -> tuple[int, tuple[str, ...]]:
    """The number of the take that is chosen, and what is said about it."""
    studio = Studio(list(said), languages)
    choice = await Candidates(studio, studio, studio).best(REQUEST, VOICE)
    assert choice.candidate.match.similarity == pytest.approx(
        studio.takes[int(choice.candidate.audio.samples[0])].similarity
    )
    return int(choice.candidate.audio.samples[0]), choice.degraded


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        ((Said(0.8), Said(0.9), Said(0.7)), 1),
        ((Said(0.8), Said(0.9, "The train leaves at"), Said(0.7)), 0),
        ((Said(0.9, ""), Said(0.9, "something else"), Said(0.6)), 2),
        ((Said(0.9), Said(0.901, "the TRAIN leaves, at noon"), Said(0.9)), 1),
        ((Said(0.8), Said(0.8), Said(0.8)), 0),
    ],
    ids=["the nearest voice", "words before voice", "silence and babble", "case and marks do not count", "first"],
)
async def test_the_best_take_is_near_to_the_voice_and_true_to_the_text(said: tuple[Said, ...], chosen: int) -> None:
    assert await best(*said) == (chosen, ())


async def test_takes_are_spoken_at_the_same_time_and_heard_quickly() -> None:
    studio = Studio([Said(delay=0.02)] * 3)
    await Candidates(studio, studio, studio).best(REQUEST, VOICE)
    assert studio.most_speaking == 3
    assert studio.listened_with == [Quality.FAST] * 3


async def test_the_voice_alone_decides_where_nobody_understands_the_language() -> None:
    chosen, degraded = await best(Said(0.8), Said(0.9, "wrong"), Said(0.7), languages=frozenset({"fr"}))
    assert chosen == 1
    assert degraded == ("Nobody listened to the speech, to choose or check it: studio does not hear 'en'.",)


@pytest.mark.parametrize("error", [Overloaded("full"), InternalError("defect")])
async def test_one_take_that_nobody_listened_to_is_not_preferred_to_the_others(error: VoiceServiceError) -> None:
    chosen, degraded = await best(Said(0.8), Said(0.9, "the train leaves at"), Said(0.85, hears=error))
    assert chosen == 1
    assert degraded == ("Nobody listened to the speech, to choose or check it: studio did not answer.",)


async def test_a_take_that_is_refused_is_left_out() -> None:
    chosen, degraded = await best(Said(0.8), Said(0.7), Said(error=Overloaded("full")))
    assert (chosen, degraded) == (0, ("Only 2 of 3 versions of the speech were ready in time.",))


async def test_when_all_takes_are_refused_the_caller_hears_why() -> None:
    with pytest.raises(Overloaded, match="first"):
        await best(Said(error=Overloaded("first")), Said(error=Overloaded("b")), Said(error=Overloaded("c")))


@pytest.mark.parametrize("error", [UnsupportedLanguage("no"), InternalError("defect")])
async def test_an_error_that_is_no_refusal_ends_all_takes(error: VoiceServiceError) -> None:
    studio = Studio([Said(delay=30.0), Said(error=error), Said(delay=30.0)])
    with pytest.raises(type(error)):
        await asyncio.wait_for(Candidates(studio, studio, studio).best(REQUEST, VOICE), 5)
    assert (studio.speaking, studio.cancelled) == (0, 2)


async def test_late_takes_are_stopped_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_LEAST_PATIENCE_SECONDS", 0.05)
    studio = Studio([Said(0.6, delay=0.01), Said(0.9, delay=30.0), Said(0.7, delay=0.02)])
    choice = await asyncio.wait_for(Candidates(studio, studio, studio).best(REQUEST, VOICE), 5)
    assert choice.candidate.match.similarity == pytest.approx(0.7)
    assert choice.degraded == ("Only 2 of 3 versions of the speech were ready in time.",)
    assert (studio.speaking, studio.cancelled) == (0, 1)


async def test_a_caller_who_goes_away_stops_every_take() -> None:
    studio = Studio([Said(delay=30.0)] * 3)
    running = asyncio.create_task(Candidates(studio, studio, studio).best(REQUEST, VOICE))
    while studio.speaking < 3:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (studio.speaking, studio.cancelled) == (0, 3)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("quality", "varies", "calls"),
    [(Quality.HIGH, True, 3), (Quality.HIGH, False, 1), (Quality.BALANCED, True, 1), (Quality.FAST, True, 1)],
)
async def test_high_quality_is_listened_to_and_of_an_engine_that_varies_takes_several(
    quality: Quality, varies: bool, calls: int
) -> None:
    engine, studio = FakeVoice(varies=varies), Studio([Said()] * 3)
    cloning = VoiceCloning(engine, _Deaf(), DictCache(), studio)
    request = SpeechRequest(("Hola.",), "es", VoiceConditioning("fake-voice", b""), quality=quality)
    speech = await cloning.speak(request, LearnedVoice(request.voice, VOICE, ""))
    assert [each.candidate for each in engine.requests] == list(range(calls))
    assert (speech.match is not None) is (quality is Quality.HIGH)


@pytest.mark.parametrize(
    ("hears", "share", "said"),
    [
        (TEXT, 1.0, ()),
        ("the plane", 0.2, ("The speech may be hard to understand: 20 % of its words are heard again in it.",)),
        ("", 0.0, ("The speech may be hard to understand: 0 % of its words are heard again in it.",)),
    ],
)
async def test_the_share_of_words_that_is_heard_again_is_told(hears: str, share: float, said: tuple[str, ...]) -> None:
    studio = Studio([Said(hears=hears)], varies=False)
    choice = await Candidates(studio, studio, studio).best(REQUEST, VOICE)
    assert choice.candidate.match.heard == pytest.approx(share)
    assert choice.degraded == said


class _Deaf:
    async def analyze(self, audio: Audio) -> VoicePrint:
        return VOICE


@pytest.mark.parametrize(
    ("text", "heard", "expected"),
    [
        ("Guten Morgen!", "guten morgen", 1.0),
        ("abcd", "abxd", 0.75),
        ("abcd", "abd", 0.75),
        ("abcd", "xabcd", 0.75),
        ("abcd", "", 0.0),
        ("", "anything", 1.0),
        ("ab", "a quite different and much longer thing", 0.0),
        ("今天天气很好。", "今天 天气很好", 1.0),
        ("Übung", "U\u0308BUNG", 1.0),
        ("kitten", "sitting", 0.5),
    ],
)
def test_agreement_is_one_less_the_share_of_wrong_characters(text: str, heard: str, expected: float) -> None:
    assert agreement(text, heard) == pytest.approx(expected)
