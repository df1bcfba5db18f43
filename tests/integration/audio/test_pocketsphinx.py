"""The embedded recogniser on speech that flite makes."""

import io
import resource
import subprocess
import sys
from functools import cache, lru_cache

import numpy as np
import pytest
import soundfile
import soxr

from src.domain.audio import Audio, Samples
from src.domain.errors import NoSpeechDetected, UnsupportedLanguage
from src.domain.speech import Quality
from src.models.pocketsphinx_model import PocketsphinxModel

SENTENCES = (
    "good morning i hope you are doing well today",
    "please call me back when you have a few minutes",
    "the meeting has been moved to three o'clock tomorrow afternoon",
    "can you buy some bread and milk on your way home",
    "please bring your passport to the station tomorrow morning",
    "the weather is very nice here and the food is wonderful",
    "yesterday i read a very interesting book about the history of music",
    "please send me the documents before the end of the week",
    "the bus leaves from the main square every twenty minutes",
    "the doctor said that everything is going to be fine",
    "the old man walked slowly along the river",
    "my friends and i want to visit the museum on sunday",
)
RATE = 16_000


@cache
def speech(sentence: str) -> Samples:
    """flite's rms voice: float32 at 16 kHz."""
    made = subprocess.run(
        ["flite", "-voice", "rms", "-t", sentence, "-o", "/dev/stdout"], check=True, capture_output=True, timeout=60
    )
    samples, rate = soundfile.read(io.BytesIO(made.stdout), dtype="float32")
    assert rate == RATE
    return np.asarray(samples, dtype=np.float32)


def as_in_pipeline(samples: Samples) -> Audio:
    """22 050 Hz, trimmed, peak at -3 dB."""
    resampled = soxr.resample(samples, RATE, 22_050)
    loud = np.flatnonzero(np.abs(resampled) > 0.01 * np.abs(resampled).max())
    trimmed = resampled[max(0, loud[0] - 2205) : loud[-1] + 2205]
    return Audio(trimmed * np.float32(10 ** (-3 / 20) / np.abs(trimmed).max()), 22_050)


@lru_cache(maxsize=1)
def model() -> PocketsphinxModel:
    return PocketsphinxModel()


@pytest.mark.parametrize("sentence", SENTENCES[::3])
def test_clear_speech_is_heard_word_for_word(sentence: str) -> None:
    transcript = model().transcribe(as_in_pipeline(speech(sentence)), "en", Quality.BALANCED)
    assert transcript.text == sentence
    assert transcript.language_probability == 1.0
    assert 0.5 < transcript.confidence <= 1.0


def test_a_telephone_recording_is_heard_word_for_word() -> None:
    narrow = soxr.resample(soxr.resample(speech(SENTENCES[5]), RATE, 8_000), 8_000, RATE)
    assert model().transcribe(as_in_pipeline(narrow), "en", Quality.BALANCED).text == SENTENCES[5]


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.HIGH])
def test_every_quality_hears(quality: Quality) -> None:
    assert model().transcribe(Audio(speech(SENTENCES[5]), RATE), "en", quality).text == SENTENCES[5]


def test_segments_end_at_pauses_and_times_lie_in_the_recording() -> None:
    first, second = speech(SENTENCES[1]), speech(SENTENCES[8])
    audio = Audio(np.concatenate([first, np.zeros(RATE, np.float32), second]), RATE)
    transcript = model().transcribe(audio, None, Quality.BALANCED)
    assert [segment.text for segment in transcript.segments] == [SENTENCES[1], SENTENCES[8]]
    assert transcript.segments[0].end <= len(first) / RATE
    assert transcript.segments[1].start >= len(first) / RATE + 1.0
    words = [word for segment in transcript.segments for word in segment.words]
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= audio.duration_seconds
    assert all(0.0 <= word.confidence <= 1.0 for word in words)
    assert " ".join(word.text for word in words) == transcript.text
    assert transcript.confidence == pytest.approx(np.mean([word.confidence for word in words]))


def test_a_call_leaves_nothing_behind_for_the_next() -> None:
    audio = as_in_pipeline(speech(SENTENCES[9]))
    before = model().transcribe(audio, "en", Quality.BALANCED)
    loud = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32) * 0.3
    with pytest.raises(NoSpeechDetected):
        model().transcribe(Audio(loud, RATE), "en", Quality.BALANCED)
    assert model().transcribe(audio, "en", Quality.BALANCED) == before


def test_the_language_is_assumed_and_says_so() -> None:
    transcript = model().transcribe(Audio(speech(SENTENCES[5]), RATE), None, Quality.FAST)
    assert (transcript.language, transcript.language_probability) == ("en", None)


def test_another_language_names_what_to_install() -> None:
    with pytest.raises(UnsupportedLanguage, match="openai-whisper"):
        model().transcribe(Audio(speech(SENTENCES[5]), RATE), "es", Quality.BALANCED)


@pytest.mark.parametrize("amplitude", [0.0, 0.3])
def test_silence_and_a_tone_are_not_speech(amplitude: float) -> None:
    times = np.arange(4 * RATE) / RATE
    tone = (amplitude * np.sin(2 * np.pi * 433 * times)).astype(np.float32)
    with pytest.raises(NoSpeechDetected):
        model().transcribe(Audio(tone, RATE), "en", Quality.BALANCED)


def test_a_long_recording_takes_little_memory_and_loses_nothing() -> None:
    sentence = speech(SENTENCES[5])
    turn = np.concatenate([sentence, np.zeros(5 * RATE, np.float32)])
    audio = Audio(np.tile(turn, 75 * RATE // len(turn)), RATE)
    model().transcribe(Audio(sentence, RATE), "en", Quality.FAST)
    before = _peak_memory_mb()
    transcript = model().transcribe(audio, "en", Quality.FAST)
    assert _peak_memory_mb() - before < 100
    expected = len(audio.samples) // len(turn)
    assert len(transcript.segments) == expected
    spoken = SENTENCES[5].split()
    right = [sum(word in segment.text.split() for word in spoken) for segment in transcript.segments]
    assert sum(right) >= 0.9 * len(spoken) * expected


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
