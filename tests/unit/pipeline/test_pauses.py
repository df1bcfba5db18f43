"""Where a recording is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.audio import Audio, Samples
from src.models.pauses import utterances

RATE = 1000


def sound(*parts: tuple[float, float]) -> Audio:
    """Noise of (seconds, amplitude) after each other."""
    noise = np.random.default_rng(0)
    pieces: list[Samples] = [
        noise.standard_normal(round(seconds * RATE)).astype(np.float32) * np.float32(amplitude)
        for seconds, amplitude in parts
    ]
    return Audio(np.concatenate(pieces), RATE)


def cut(audio: Audio, max_seconds: float = 20.0) -> list[tuple[float, float]]:
    spans = utterances(audio, pause_seconds=0.5, min_seconds=2.0, max_seconds=max_seconds)
    return [(start / RATE, end / RATE) for start, end in spans]


def test_a_pause_divides_and_long_quiet_is_left_out() -> None:
    spans = cut(sound((3, 0.1), (2, 0.0), (3, 0.1)))
    assert spans == [pytest.approx((0, 3.3), abs=0.03), pytest.approx((4.7, 8), abs=0.03)]


def test_a_breath_does_not_divide() -> None:
    assert len(cut(sound((3, 0.1), (0.3, 0.0), (3, 0.1)))) == 1


def test_a_word_alone_stays_with_its_neighbour() -> None:
    assert len(cut(sound((0.6, 0.1), (0.8, 0.0), (3, 0.1)))) == 1


def test_without_a_pause_the_quietest_place_divides() -> None:
    spans = cut(sound((8, 0.1), (0.3, 0.02), (8, 0.1)), max_seconds=10)
    assert len(spans) == 2
    assert 8.0 <= spans[1][0] <= 8.3


@given(
    st.lists(st.tuples(st.floats(0.05, 6), st.sampled_from([0.0, 0.001, 0.1, 0.5])), min_size=1, max_size=12),
    st.floats(4.5, 20),
)
def test_spans_are_in_order_bounded_and_hold_all_that_is_loud(parts: list[tuple[float, float]], longest: float) -> None:
    audio = sound(*parts)
    spans = utterances(audio, pause_seconds=0.5, min_seconds=2.0, max_seconds=longest)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(end - start <= (longest + 0.05) * RATE for start, end in spans)
    outside = np.ones(len(audio.samples), bool)
    for start, end in spans:
        outside[start:end] = False
    missed = audio.samples[outside]
    last_frame = 0.02 * RATE
    assert np.count_nonzero(np.abs(missed) > 0.5 * np.abs(audio.samples).max()) <= last_frame
