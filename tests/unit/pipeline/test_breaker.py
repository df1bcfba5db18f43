"""The circuit breaker, on a clock that the test moves."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest

from src.adapters.translators.remote import Breaker, BreakerOpen, BreakerState


class Failure(Exception):
    pass


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def state(breaker: Breaker) -> BreakerState:
    return breaker.state


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Failure), breaker.guard(Failure):
            raise Failure


def succeed(breaker: Breaker) -> None:
    with breaker.guard(Failure):
        pass


def refused(breaker: Breaker) -> BreakerOpen:
    with pytest.raises(BreakerOpen) as caught, breaker.guard(Failure):
        raise AssertionError("a call passed")
    return caught.value


def test_it_opens_after_five_failures_and_refuses() -> None:
    clock = Clock()
    breaker = Breaker("p", clock=clock)
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker)
    assert state(breaker) is BreakerState.OPEN
    clock.now += 10
    assert refused(breaker).retry_after_seconds == pytest.approx(20)


def test_a_success_forgets_the_failures_before_it() -> None:
    breaker = Breaker("p")
    fail(breaker, 4)
    succeed(breaker)
    fail(breaker, 4)
    assert state(breaker) is BreakerState.CLOSED


def test_after_its_rest_one_call_at_a_time_may_try() -> None:
    clock = Clock()
    breaker = Breaker("p", clock=clock)
    fail(breaker, 5)
    clock.now += 30
    assert state(breaker) is BreakerState.HALF_OPEN
    with breaker.guard(Failure):
        refused(breaker)
    assert state(breaker) is BreakerState.CLOSED
    succeed(breaker)


def test_a_try_that_fails_opens_it_for_a_whole_rest() -> None:
    clock = Clock()
    breaker = Breaker("p", clock=clock)
    fail(breaker, 5)
    clock.now += 31
    fail(breaker)
    clock.now += 29
    assert refused(breaker).retry_after_seconds == pytest.approx(1)
    clock.now += 1
    succeed(breaker)
    assert state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError])
def test_what_is_not_the_providers_fault_decides_nothing(error: type[BaseException]) -> None:
    clock = Clock()
    breaker = Breaker("p", clock=clock)
    fail(breaker, 5)
    clock.now += 30
    with pytest.raises(error), breaker.guard(Failure):
        raise error
    assert state(breaker) is BreakerState.HALF_OPEN
    succeed(breaker)
    fail(breaker, 4)
    with pytest.raises(error), breaker.guard(Failure):
        raise error
    assert state(breaker) is BreakerState.CLOSED


def test_a_failure_that_comes_late_does_not_lengthen_the_rest() -> None:
    clock = Clock()
    breaker = Breaker("p", clock=clock)
    with suppress(Failure), breaker.guard(Failure):
        fail(breaker, 5)
        clock.now += 29
        raise Failure
    clock.now += 1
    assert state(breaker) is BreakerState.HALF_OPEN
