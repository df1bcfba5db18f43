"""Cutting recordings into windows, and finding the weights: nothing here needs a network."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.errors import EngineUnavailable
from src.models.whisper.windows import MAX_SECONDS, windows
from src.models.whisper_model import languages_of, weights_file


def test_a_recording_of_30_s_or_less_is_one_window() -> None:
    assert windows([(2.0, 4.0), (9.0, 28.0)], 0.0, 30.0) == [(0.0, 30.0)]


def test_where_nobody_speaks_there_is_no_window() -> None:
    assert windows([], 0.0, 12.0) == []


def test_a_long_recording_is_cut_in_its_longest_late_pause() -> None:
    found = windows([(0.0, 12.0), (14.0, 20.0), (20.5, 28.0), (28.3, 40.0)], 0.0, 45.0)
    assert found == [(0.0, 20.2), (20.3, 40.2)]


def test_speech_without_a_pause_is_cut_hard() -> None:
    found = windows([(1.0, 71.0)], 0.0, 75.0)
    assert len(found) == 3
    assert all(end - begin <= MAX_SECONDS for begin, end in found)


@st.composite
def speech(draw: st.DrawFn) -> list[tuple[float, float]]:
    lengths = draw(st.lists(st.tuples(st.floats(0.13, 5), st.floats(0.26, 40)), min_size=1, max_size=25))
    found, at = [], 0.0
    for pause, length in lengths:
        found.append((at + pause, at + pause + length))
        at += pause + length
    return found


@given(speech())
def test_windows_are_in_order_apart_short_enough_and_hold_all_speech(stretches: list[tuple[float, float]]) -> None:
    duration = stretches[-1][1] + 0.1
    found = windows(stretches, 0.0, duration)
    assert all(0 <= begin < end <= duration and end - begin <= MAX_SECONDS + 1e-9 for begin, end in found)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(found))
    for begin, end in stretches:
        inside = sum(max(0.0, min(end, b) - max(begin, a)) for a, b in found)
        assert inside == pytest.approx(end - begin)


def test_weights_are_found_by_name_by_alias_and_by_file(tmp_path: Path) -> None:
    for name in ("base", "large-v3-turbo"):
        (tmp_path / f"{name}.pt").touch()
    assert weights_file("base", tmp_path) == tmp_path / "base.pt"
    assert weights_file("turbo", tmp_path) == tmp_path / "large-v3-turbo.pt"
    assert weights_file(str(tmp_path / "base.pt"), Path("elsewhere")) == tmp_path / "base.pt"


def test_missing_weights_name_the_script_that_brings_them(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"small\.pt"):
        weights_file("small", tmp_path)


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="large-v3"):
        weights_file("enormous", tmp_path)


def test_english_models_hear_english_alone() -> None:
    assert languages_of(Path("base.en.pt")) == {"en"}
    assert {"en", "fr", "zh"} <= languages_of(Path("base.pt"))
