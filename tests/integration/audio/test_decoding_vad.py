"""Speech detection at the two ends against silero-vad's own scan of the whole recording."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import silero_vad
import soxr

from src.domain.audio import Audio, Samples
from src.models.silero_vad import FRAME_SAMPLES, SileroVad
from tests.conftest import ROOT
from tests.recordings import audio_files as files

_MORE = 0.5
"""Seconds by which ours may find more at an end, as it raises what is quiet: soft sounds, and noise beside speech."""


@pytest.fixture(scope="module")
def detector() -> SileroVad:
    return SileroVad()


@pytest.fixture(scope="module")
def oracle() -> "silero_vad.SileroVADSequence":
    return silero_vad.load_silero_vad(sequence=True)


def recording(before: float, pause: float, after: float, sample_rate: int = 16_000, noise: float = 0.0) -> Samples:
    """Two sentences with silence round them, over noise."""
    parts = (files.silence(before), files.speech(), files.silence(pause), files.speech(), files.silence(after))
    sound = np.concatenate(parts)
    sound = sound + files.white_noise(len(sound) / 16_000, level=noise)[: len(sound)] if noise else sound
    resampled: Samples = soxr.resample(sound, 16_000, sample_rate).astype(np.float32)
    return resampled


@pytest.mark.parametrize("before", [0.0, 0.3, 7.0])
@pytest.mark.parametrize(("pause", "after"), [(0.5, 0.0), (0.5, 20.0), (12.0, 2.9)])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_both_ends_are_where_the_full_scan_puts_them(
    before: float, pause: float, after: float, noise: float, detector: SileroVad, oracle: "silero_vad.SileroVADSequence"
) -> None:
    samples = recording(before, pause, after, noise=noise)
    spans = silero_vad.get_speech_timestamps_sequence(samples, oracle, speech_pad_ms=0)
    extent = detector.extent(Audio(samples, 16_000))
    assert extent is not None
    begin, end = spans[0]["start"] / 16_000, spans[-1]["end"] / 16_000
    assert begin - _MORE <= extent[0] <= begin + 0.1
    assert end - 0.1 <= extent[1] <= end + _MORE


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 48_000])
def test_seconds_do_not_depend_on_the_sample_rate(sample_rate: int, detector: SileroVad) -> None:
    at_16_khz = detector.extent(Audio(recording(1, 1, 1), 16_000))
    extent = detector.extent(Audio(recording(1, 1, 1, sample_rate), sample_rate))
    assert extent == pytest.approx(at_16_khz, abs=0.1)


@pytest.mark.parametrize("length", [0, 1, FRAME_SAMPLES, 16_000])
def test_short_silence_has_no_speech(length: int, detector: SileroVad) -> None:
    assert detector.extent(Audio(np.zeros(length, np.float32), 16_000)) is None


def test_a_click_is_no_speech_and_does_not_move_the_ends(detector: SileroVad) -> None:
    samples = np.concatenate((files.silence(3), files.speech(), files.silence(3)))
    quiet = detector.extent(Audio(samples, 16_000))
    samples[8_000:8_100] = 0.9
    samples[-8_000:-7_900] = 0.9
    assert detector.extent(Audio(samples, 16_000)) == pytest.approx(quiet, abs=0.1)


def test_the_runtime_reports_nothing_about_this_machine(tmp_path: Path) -> None:
    """Where it does, it begins by writing an identifier of the machine below the user's home. On CI it is silent by
    itself, so the process gets no variables that tell it where it is.
    """
    code = "from src.models.silero_vad import SileroVad; SileroVad()"
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, timeout=100, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_sentence_far_quieter_than_the_one_before_is_found_from_its_beginning(detector: SileroVad) -> None:
    """As when a telephone is passed over."""
    loud, pause = files.speech(), files.silence(0.8)
    for share in (0.03, 0.02):
        found = detector.speech(
            Audio(np.concatenate((loud, pause, loud * np.float32(share))).astype(np.float32), 16_000)
        )
        alone = detector.speech(Audio(loud, 16_000))
        begin = (len(loud) + len(pause)) / 16_000
        second = [span for span in found if span[1] > begin + 0.1]
        assert second[0][0] == pytest.approx(begin + alone[0][0], abs=0.2)
        assert second[-1][1] == pytest.approx(begin + alone[-1][1], abs=0.2)
