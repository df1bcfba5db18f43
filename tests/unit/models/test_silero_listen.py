"""Speech found in sound that goes on, on people's recordings."""

import numpy as np
import pytest

from src.domain.audio import Audio, Samples
from src.domain.speech import ACTIVITY_SECONDS
from src.models.silero_vad import SileroVad
from src.utils.audio import resample
from tests.recordings.people import CLEAR, RATE, spoken

LIVE_RATE = 24_000
FRAME = round(ACTIVITY_SECONDS * LIVE_RATE)


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad()


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Whole frames of two sentences, with pauses."""
    said = np.concatenate([spoken(text, "en", 0.8, 0.6) for text in CLEAR["en"][:2]])
    samples = resample(Audio(said, RATE), LIVE_RATE).samples
    return samples[: len(samples) // FRAME * FRAME]


def heard(vad: SileroVad, samples: Samples, frames: int) -> Samples:
    """Probabilities, of so many frames at a time."""
    state: tuple[Samples, ...] = ()
    found = []
    for start in range(0, len(samples), frames * FRAME):
        activity = vad.listen(Audio(samples[start : start + frames * FRAME], LIVE_RATE), state)
        state = activity.state
        found.append(activity.probabilities)
    return np.concatenate(found)


def test_it_finds_what_is_found_in_the_whole_recording(vad: SileroVad, sound: Samples) -> None:
    probabilities = heard(vad, sound, frames=6)
    assert len(probabilities) == len(sound) // FRAME
    stretches = vad.speech(Audio(sound, LIVE_RATE))
    inside = np.zeros(len(probabilities), bool)
    for begin, end in stretches:
        inside[round(begin / ACTIVITY_SECONDS) : round(end / ACTIVITY_SECONDS)] = True
    assert np.mean((probabilities > 0.5) == inside) > 0.95


def test_pieces_of_any_length_are_heard_alike(vad: SileroVad, sound: Samples) -> None:
    few, many = (heard(vad, sound, frames) > 0.5 for frames in (1, 30))
    assert np.mean(few == many) > 0.97


def test_a_quiet_microphone_is_heard_as_well(vad: SileroVad, sound: Samples) -> None:
    loud, quiet = (heard(vad, sound * np.float32(gain), frames=6) > 0.5 for gain in (1.0, 0.01))
    assert np.mean(loud == quiet) > 0.95


def test_silence_and_noise_are_no_speech(vad: SileroVad) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 100 * FRAME).astype(np.float32)
    for samples in (np.zeros(100 * FRAME, np.float32), noise):
        assert np.mean(heard(vad, samples, frames=6) > 0.5) < 0.02
