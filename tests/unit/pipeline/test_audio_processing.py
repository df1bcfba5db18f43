"""Decode, trim, normalise: the order and the arithmetic, with fakes through the ports."""

import numpy as np
import pytest

from src.domain.audio import WORKING_SAMPLE_RATE, Audio, AudioFormat, Recording
from src.domain.errors import AudioUndecodable, NoSpeechDetected
from src.services.audio_processing import PADDING_SECONDS, AudioProcessing


class FixedDecoder:
    def __init__(self, audio: Audio, *notes: str) -> None:
        self.recording = Recording(audio.samples[None], audio.sample_rate, audio.duration_seconds, notes)
        self.asked: list[tuple[bytes, AudioFormat]] = []

    def decode(self, data: bytes, declared: AudioFormat) -> Recording:
        self.asked.append((data, declared))
        return self.recording


class FixedDetector:
    def __init__(self, extent: tuple[float, float] | None) -> None:
        self.found = extent
        self.level = 0.0

    def extent(self, audio: Audio) -> tuple[float, float] | None:
        self.level = float(np.sqrt(np.square(audio.samples).mean()))
        return self.found

    def speech(self, audio: Audio) -> list[tuple[float, float]]:
        return [(0.5, audio.duration_seconds)]

    def seconds(self, audio: Audio) -> float:
        return audio.duration_seconds


def said(seconds: float, begin: float = 0.0, end: float | None = None, beside: float = 0.0) -> Audio:
    """A quiet tone from `begin` to `end`, and one of the level `beside` round it."""
    time = np.arange(round(seconds * WORKING_SAMPLE_RATE)) / WORKING_SAMPLE_RATE
    level = np.where((time >= begin) & (time < (seconds if end is None else end)), 0.01, beside)
    return Audio((level * np.sin(2 * np.pi * 440 * time)).astype(np.float32), WORKING_SAMPLE_RATE)


def test_silence_is_cut_but_for_a_little_and_the_peak_is_set_after_it() -> None:
    decoder, detector = FixedDecoder(said(10, 2, 5), "a note"), FixedDetector((2.0, 5.0))
    speech = AudioProcessing(decoder, detector).decode(b"file", AudioFormat.FLAC)
    assert decoder.asked == [(b"file", AudioFormat.FLAC)]
    assert detector.level > 0.1, "the detector hears quiet recordings as loud ones"
    assert speech.source_duration_seconds == pytest.approx(10)
    assert speech.offset_seconds == pytest.approx(2.0 - PADDING_SECONDS, abs=1e-4)
    assert speech.audio.duration_seconds == pytest.approx(3.0 + 2 * PADDING_SECONDS, abs=1e-3)
    assert float(speech.audio.samples.max()) == pytest.approx(10 ** (-3 / 20), rel=0.05)
    assert speech.notes == ("a note",)


def test_speech_at_the_very_ends_keeps_the_whole_recording() -> None:
    speech = AudioProcessing(FixedDecoder(said(3)), FixedDetector((0.05, 2.99))).decode(b"", AudioFormat.WAV)
    assert speech.offset_seconds == 0
    assert speech.audio.duration_seconds == pytest.approx(3)


@pytest.mark.parametrize(("seconds", "stretches"), [(11.0, ()), (13.0, ((0.5, 13.0),))])
def test_where_a_long_recording_has_speech_is_looked_at(
    seconds: float, stretches: tuple[tuple[float, float], ...]
) -> None:
    detector = FixedDetector((0.0, seconds))
    speech = AudioProcessing(FixedDecoder(said(seconds)), detector).decode(b"", AudioFormat.WAV)
    assert speech.stretches == stretches


def test_nobody_speaks() -> None:
    with pytest.raises(NoSpeechDetected):
        AudioProcessing(FixedDecoder(said(3)), FixedDetector(None)).decode(b"", AudioFormat.WAV)


def test_nobody_can_be_heard_in_what_is_left_of_a_damaged_file() -> None:
    with pytest.raises(AudioUndecodable, match="It is damaged"):
        AudioProcessing(FixedDecoder(said(3), "It is damaged."), FixedDetector(None)).decode(b"", AudioFormat.WAV)


def test_more_is_kept_where_there_is_sound_beside_the_speech() -> None:
    music = said(10, 4, 6, beside=0.005)
    speech = AudioProcessing(FixedDecoder(music), FixedDetector((4.0, 6.0))).decode(b"", AudioFormat.WAV)
    assert speech.offset_seconds == pytest.approx(2.5, abs=1e-3)
    assert speech.audio.duration_seconds == pytest.approx(5, abs=1e-3)
