"""What an engine gets of a text, and what is said of words that it did not speak."""

import numpy as np
import pytest

from src.domain.audio import OUTPUT_SAMPLE_RATE, SpokenAudio
from src.domain.errors import EngineUnavailable, RequestInvalid
from src.domain.speech import SpeechRequest, VoiceConditioning, VoicePrint
from src.services.voice_cloning import LearnedVoice, Speech, VoiceCloning
from tests.fakes.fake_stores import DictCache
from tests.fakes.fakes import FakeAnalyzer, FakeTranscriber, FakeVoice

TEXTS = ("It costs 5 € 🎉.", "Nobody answered the telephone in the whole of the afternoon.")


class Mumbler(FakeVoice):
    """Speaks each text for as long as it is told to, in the order of the texts."""

    seconds: tuple[float, ...] = ()

    async def speak(self, request: SpeechRequest) -> SpokenAudio:
        seconds = self.seconds[len(self.said) : len(self.said) + len(request.texts)]
        self.requests.append(request)
        return SpokenAudio(np.zeros(OUTPUT_SAMPLE_RATE, np.float32), OUTPUT_SAMPLE_RATE, seconds)


async def speech(engine: Mumbler, *texts: str) -> Speech:
    voices = VoiceCloning(engine, FakeAnalyzer(), DictCache(), FakeTranscriber())
    request = SpeechRequest(texts, "en", VoiceConditioning(engine.name, b""))
    return await voices.speak(request, LearnedVoice(request.voice, VoicePrint((), 100.0, 0.3, ()), ""))


async def test_the_engine_gets_words_and_what_was_left_out_is_named() -> None:
    engine = Mumbler()
    engine.seconds = (1.5, 4.0)
    spoken = await speech(engine, *TEXTS)
    assert engine.said == ("It costs five euros.", TEXTS[1])
    assert spoken.degraded == ("What cannot be spoken was left out: 🎉",)


async def test_a_sentence_with_too_little_sound_is_named() -> None:
    engine = Mumbler()
    engine.seconds = (1.5, 0.4)
    assert (await speech(engine, *TEXTS)).degraded[1:] == (
        "Less was spoken than the text has: words are missing in sentence 2 of 2.",
    )


async def test_no_sound_at_all_is_an_error() -> None:
    engine = Mumbler()
    engine.seconds = (0.0, 0.0)
    with pytest.raises(EngineUnavailable):
        await speech(engine, *TEXTS)


async def test_texts_of_which_nothing_can_be_said_never_reach_the_engine() -> None:
    engine = Mumbler()
    with pytest.raises(RequestInvalid):
        await speech(engine, "🎉", "…")
    assert engine.requests == []
