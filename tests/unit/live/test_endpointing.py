"""Where utterances begin and end, of probabilities and levels that a test makes up. A frame is 32 ms."""

from itertools import pairwise

import pytest

from src.services.live.endpointing import LONGEST, Endpointer, Frames, frames_of

SPEECH, SILENCE = (0.9, 0.2), (0.05, 0.001)


def heard(*stretches: tuple[float, tuple[float, float]], clauses: tuple[float, ...] = ()) -> list[Frames]:
    """The utterances of stretches (seconds, (probability, level)), and the last that goes on at their end."""
    endpointer = Endpointer()
    found = []
    for seconds, (probability, level) in stretches:
        for _ in range(frames_of(seconds)):
            if endpointer.begun is not None:
                endpointer.clauses([frames_of(clause) for clause in clauses])
            found.append(endpointer.hear(probability, level))
    return [frames for frames in (*found, endpointer.finish()) if frames is not None]


def test_a_pause_ends_an_utterance_and_a_margin_is_kept() -> None:
    first, second = heard((1.0, SILENCE), (1.5, SPEECH), (1.0, SILENCE), (1.0, SPEECH), (1.0, SILENCE))
    assert first == (frames_of(1.0) - frames_of(0.25), frames_of(1.0) + frames_of(1.5) + frames_of(0.25))
    assert first[1] <= second[0]


def test_a_breath_does_not_end_one() -> None:
    assert len(heard((1.0, SPEECH), (0.4, SILENCE), (1.0, SPEECH), (1.0, SILENCE))) == 1


@pytest.mark.parametrize(("spoken", "pause"), [(1.0, 0.65), (3.5, 0.4), (5.0, 0.2)])
def test_the_longer_it_is_the_shorter_a_pause_is_enough(spoken: float, pause: float) -> None:
    assert len(heard((spoken, SPEECH), (pause, SILENCE), (0.5, SPEECH))) == 2
    assert len(heard((spoken, SPEECH), (pause - 0.1, SILENCE), (0.5, SPEECH))) == 1


def test_a_click_is_no_utterance_and_a_word_is_one() -> None:
    assert heard((0.5, SILENCE), (0.064, SPEECH), (1.0, SILENCE)) == []
    assert heard((0.5, SILENCE), (0.096, SPEECH), (1.0, SILENCE)) == []
    assert len(heard((0.5, SILENCE), (0.16, SPEECH), (1.0, SILENCE))) == 1


def test_speech_without_a_pause_is_cut_within_six_seconds_and_nothing_is_lost() -> None:
    utterances = heard((20.0, SPEECH), (1.0, SILENCE))
    assert len(utterances) >= 4
    assert all(end - begin <= LONGEST for begin, end in utterances)
    assert all(before[1] == after[0] for before, after in pairwise(utterances))
    assert utterances[0][0] == 0
    assert utterances[-1][1] >= frames_of(20.0)


def test_it_is_cut_at_the_quietest_place() -> None:
    quiet = (0.9, 0.05)
    first = heard((4.0, SPEECH), (0.1, quiet), (4.0, SPEECH))[0]
    assert frames_of(4.0) <= first[1] <= frames_of(4.1)


def test_it_is_cut_behind_the_last_clause_where_that_is_known() -> None:
    quiet = (0.9, 0.05)
    first = heard((4.5, SPEECH), (0.1, quiet), (4.0, SPEECH), clauses=(1.0, 2.4, 3.2))[0]
    assert abs(first[1] - frames_of(3.2)) <= 5
    too_early = heard((4.5, SPEECH), (0.1, quiet), (4.0, SPEECH), clauses=(1.0,))[0]
    assert frames_of(4.5) <= too_early[1] <= frames_of(4.6)


def test_what_may_still_be_needed_is_kept() -> None:
    endpointer = Endpointer()
    for _ in range(100):
        endpointer.hear(*SILENCE)
        assert endpointer.frame - endpointer.oldest <= frames_of(0.25) + 3
    for _ in range(50):
        endpointer.hear(*SPEECH)
    assert endpointer.oldest == endpointer.begun
