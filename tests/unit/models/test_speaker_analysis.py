"""Measured voices: the same speaker is near, another far, whatever the level and the rate."""

import numpy as np
import pytest
import torch

from src.domain.audio import Audio
from src.domain.speech import VoicePrint, VoiceType, compare
from src.models.speaker_analysis import SpeakerAnalysis
from tests.recordings import audio_files

OTHER_TEXT = "Two trains leave the old station every hour, and both of them are usually full of people."


@pytest.fixture(scope="module")
def analysis() -> SpeakerAnalysis:
    return SpeakerAnalysis()


def recording(voice: str, text: str = audio_files.SENTENCE, sample_rate: int = 22_050) -> Audio:
    return Audio(audio_files.speech(sample_rate, text, voice), sample_rate)


@pytest.fixture(scope="module")
def man(analysis: SpeakerAnalysis) -> VoicePrint:
    return analysis.analyze(recording("rms"))


@pytest.fixture(scope="module")
def woman(analysis: SpeakerAnalysis) -> VoicePrint:
    return analysis.analyze(recording("slt"))


def test_the_same_speaker_is_near_and_another_far(
    analysis: SpeakerAnalysis, man: VoicePrint, woman: VoicePrint
) -> None:
    again = analysis.analyze(recording("rms", OTHER_TEXT))
    assert compare(man, again).similarity > 0.85
    assert compare(man, woman).similarity < 0.75
    assert compare(man, again).timbre_agreement > compare(man, woman).timbre_agreement


def test_the_print_has_the_documented_shape(man: VoicePrint) -> None:
    assert len(man.embedding) == 256
    assert sum(value * value for value in man.embedding) == pytest.approx(1, abs=1e-4)
    assert len(man.timbre) == 12
    assert 0 < man.brightness < 0.5


def test_pitch_is_that_of_a_known_voice(man: VoicePrint, woman: VoicePrint) -> None:
    assert man.pitch_hz == pytest.approx(102, rel=0.06)
    assert woman.pitch_hz == pytest.approx(166, rel=0.06)
    assert woman.voice_type is VoiceType.MEDIUM_HIGH


def test_pitch_of_a_tone(analysis: SpeakerAnalysis) -> None:
    times = np.arange(2 * 22_050) / 22_050
    pulses = np.sum([np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)], axis=0)
    assert analysis.analyze(Audio((0.2 * pulses).astype(np.float32), 22_050)).pitch_hz == pytest.approx(140, rel=0.01)


def test_level_does_not_matter(analysis: SpeakerAnalysis, man: VoicePrint) -> None:
    loud = recording("rms")
    quiet = analysis.analyze(Audio(loud.samples * np.float32(0.05), loud.sample_rate))
    match = compare(man, quiet)
    assert match.similarity > 0.99
    assert match.timbre_agreement > 0.95


def test_rate_does_not_matter(analysis: SpeakerAnalysis, man: VoicePrint) -> None:
    again = analysis.analyze(recording("rms", sample_rate=48_000))
    assert compare(man, again).similarity > 0.98
    assert again.pitch_hz == pytest.approx(man.pitch_hz, rel=0.01)


def test_a_duller_recording_is_less_bright(analysis: SpeakerAnalysis, man: VoicePrint) -> None:
    bright = recording("rms").samples
    dull = np.convolve(bright, np.ones(12, np.float32) / 12, mode="same").astype(np.float32)
    assert analysis.analyze(Audio(dull, 22_050)).brightness < 0.7 * man.brightness


@pytest.mark.parametrize("seconds", [0.0, 0.02, 3.0])
def test_silence_has_no_pitch_and_does_not_break(analysis: SpeakerAnalysis, seconds: float) -> None:
    silence = analysis.analyze(Audio(np.zeros(int(seconds * 22_050), np.float32), 22_050))
    assert silence.pitch_hz == 0
    assert silence.timbre == (0.0,) * 12
    assert np.isfinite(silence.embedding).all()
    assert 0 <= compare(silence, silence).similarity <= 1


def test_it_keeps_to_one_thread_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    SpeakerAnalysis()
    assert torch.get_num_threads() == 1
    assert capfd.readouterr() == ("", "")
