"""Sound on its way in: whole frames, twice real time at most, and an end."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from src.domain.errors import Overloaded, RequestInvalid
from src.services.live.intake import FRAME, RATE, Intake, TooFast

SECOND = bytes(2 * RATE)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def test_odd_pieces_come_out_as_whole_frames_in_order() -> None:
    intake = Intake()
    samples = np.arange(3 * FRAME + 100, dtype=np.int16)
    sent = samples.tobytes()
    for start in range(0, len(sent), 998):
        intake.put(sent[start : start + 998])
    first = await intake.take(1)
    assert first is not None
    assert np.array_equal(np.round(first * 32768).astype(np.int16), samples[: 3 * FRAME])
    intake.put(np.arange(FRAME - 100, dtype=np.int16).tobytes())
    second = await intake.take(1)
    assert second is not None
    assert np.array_equal(np.round(second[:100] * 32768).astype(np.int16), samples[3 * FRAME :])


async def test_silence_is_told_from_the_end() -> None:
    intake = Intake()
    nothing = await intake.take(0.01)
    assert nothing is not None
    assert len(nothing) == 0
    intake.end()
    assert await intake.take(1) is None


async def test_who_waits_is_woken() -> None:
    intake = Intake()
    waiting = asyncio.create_task(intake.take(60))
    await asyncio.sleep(0)
    intake.put(SECOND)
    samples = await waiting
    assert samples is not None
    assert len(samples) == RATE // FRAME * FRAME


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(RequestInvalid):
        Intake().put(b"123")


def test_ten_seconds_at_once_and_then_twice_real_time() -> None:
    clock = Clock()
    intake = Intake(clock)
    for _ in range(10):
        intake.put(SECOND)
    with pytest.raises(TooFast):
        intake.put(SECOND)
    clock.now = 100.0
    intake = Intake(clock)
    with pytest.raises(TooFast):  # noqa: PT012 - the seventeenth is too much
        while intake.seconds < 20:
            clock.now += 0.2
            intake.put(SECOND)
    intake, clock.now = Intake(clock), 200.0
    for _ in range(25):
        clock.now += 0.6
        intake.put(SECOND)


def test_what_nobody_listens_to_does_not_grow_without_bound() -> None:
    clock = Clock()
    intake = Intake(clock)
    with pytest.raises(Overloaded):  # noqa: PT012 - the thirty-second is too much
        while intake.seconds < 40:
            clock.now += 1.0
            intake.put(SECOND)
