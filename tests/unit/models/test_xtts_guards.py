"""Guards against babble, on code sequences that are made up: random ones stand for speech."""

import numpy as np
import pytest
import torch

from src.models.xtts.conditioning import Voice
from src.models.xtts.decode_loop import Sentence
from src.models.xtts.guards import Fault, judge, max_codes
from src.models.xtts.utterance import Utterance

STOP = 1025
TOKENS = 30  # about 120 codes, 5.6 s


def speech(codes: int, seed: int = 0) -> list[int]:
    return [int(code) for code in np.random.default_rng(seed).integers(0, 1024, codes)]


def held(codes: int, different: int = 3, seed: int = 0) -> list[int]:
    return [int(code) for code in np.random.default_rng(seed).integers(7, 7 + different, codes)]


PHRASE = speech(50, seed=5)


@pytest.mark.parametrize(
    "codes",
    [
        speech(120),
        speech(60),
        speech(250),
        speech(60) + held(35) + speech(60, 1),
        speech(60) + PHRASE[:30] + speech(5, 1) + PHRASE[:30] + speech(60, 2),
        speech(120) + held(30),
        speech(200) + held(20) + speech(5, 1),
        speech(170) + held(20) + speech(60, 1),
        speech(190) + held(15) + speech(4, 1) + held(15, seed=2),
    ],
    ids=[
        "usual",
        "quick",
        "slow",
        "a long pause",
        "a phrase of 1.4 s said twice",
        "silence at the end",
        "a breath at the end",
        "a pause in slow speech, not beyond the slowest",
        "a breath between silences at the end",
    ],
)
def test_speech_is_left_alone(codes: list[int]) -> None:
    verdict = judge([*codes, STOP], TOKENS, STOP)
    assert verdict.fault is Fault.NONE
    assert verdict.keep == len(codes) + 1


@pytest.mark.parametrize(
    ("codes", "fault", "keep"),
    [
        (speech(100) + held(45), Fault.REPEATS, (96, 110)),
        (speech(40) + held(60, different=5) + speech(40, 1), Fault.REPEATS, (36, 50)),
        (speech(100) + [9] * 41, Fault.REPEATS, (90, 110)),
        (speech(60) + PHRASE * 2, Fault.REPEATS, (110, 110)),
        (speech(60) + speech(10, 3) * 12, Fault.REPEATS, (70, 70)),
        (speech(30) + speech(110, 4) * 2, Fault.REPEATS, (140, 140)),
        (speech(200) + held(15) + speech(60, 1), Fault.TRAILS, (200, 210)),
        (speech(14), Fault.SWALLOWS, (15, 15)),
        ([], Fault.SWALLOWS, (1, 1)),
    ],
    ids=[
        "held at the end",
        "held inside",
        "one code",
        "twice",
        "loop",
        "long loop",
        "trailing",
        "swallowed",
        "nothing",
    ],
)
def test_babble_is_seen_and_where_it_begins(codes: list[int], fault: Fault, keep: tuple[int, int]) -> None:
    verdict = judge([*codes, STOP], TOKENS, STOP)
    assert verdict.fault is fault
    assert keep[0] <= verdict.keep <= keep[1]


def test_what_does_not_end_is_the_worst_and_is_cut_where_it_repeats_itself() -> None:
    assert judge(speech(300), TOKENS, STOP).fault is Fault.NO_END
    assert judge([], TOKENS, STOP).fault is Fault.NO_END
    assert judge(speech(300), TOKENS, STOP).keep == 300
    assert judge(speech(100) + held(200), TOKENS, STOP).keep < 110


def test_random_speech_of_any_length_raises_no_alarm() -> None:
    for seed in range(200):
        codes = int(np.random.default_rng(seed).integers(60, 240))
        assert judge([*speech(codes, seed), STOP], TOKENS, STOP).fault is Fault.NONE


def test_a_text_is_bounded_by_its_length() -> None:
    assert max_codes(1, 602) < max_codes(20, 602) < 602 == max_codes(100, 602)


class Stage:
    """An utterance of one sentence, whose attempts get the codes that the test says."""

    def __init__(self, *, guard: bool = True) -> None:
        voice = Voice(torch.zeros(1, 32, 4), torch.zeros(1, 512, 1))
        self.utterance = Utterance([torch.zeros(TOKENS, dtype=torch.long)], voice, [1], STOP, guard=guard)
        self.seeds: list[int] = []

    def say(self, codes: list[int]) -> Sentence:
        attempt = self.utterance.waiting.popleft()
        self.seeds.append(attempt.seed)
        attempt.codes = list(codes)
        attempt.latents = torch.arange(len(codes)).float()[:, None].expand(-1, 4)
        attempt.finished = True
        self.utterance.ended(attempt)
        return attempt


GOOD = [*speech(120), STOP]
LOOPING = [*speech(60), *(PHRASE * 3), STOP]
ENDLESS = speech(392, seed=8)


def test_a_good_sentence_is_said_once() -> None:
    stage = Stage()
    stage.say(GOOD)
    assert not stage.utterance.waiting
    assert stage.utterance.finished
    assert len(stage.utterance.latents(0)) == len(GOOD)


def test_babble_gets_one_more_attempt_with_other_numbers_and_the_better_is_kept() -> None:
    stage = Stage()
    stage.say(LOOPING)
    assert not stage.utterance.finished
    again = stage.say(GOOD)
    assert stage.seeds[0] != stage.seeds[1]
    assert stage.utterance.sentences == [again]
    assert stage.utterance.finished


@pytest.mark.parametrize("attempts", [(LOOPING, ENDLESS), (ENDLESS, LOOPING)])
def test_of_two_bad_attempts_the_less_bad_is_kept_up_to_its_babble(attempts: tuple[list[int], list[int]]) -> None:
    stage = Stage()
    for codes in attempts:
        stage.say(codes)
    assert not stage.utterance.waiting
    assert stage.utterance.sentences[0].codes == LOOPING[:110]
    assert stage.utterance.latents(0)[:, 0].tolist() == list(range(110))


def test_of_two_endless_attempts_the_one_nearer_to_the_texts_length_is_kept() -> None:
    stage = Stage()
    stage.say(speech(60) + held(300))
    stage.say(speech(200) + held(160))
    assert stage.utterance.sentences[0].codes[:60] == speech(60)
    assert len(stage.utterance.latents(0)) < 70


def test_without_guards_anything_is_taken_as_it_is() -> None:
    stage = Stage(guard=False)
    stage.say(ENDLESS)
    assert stage.utterance.finished
    assert len(stage.utterance.latents(0)) == len(ENDLESS)
