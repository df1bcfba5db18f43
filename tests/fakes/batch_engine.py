"""A BatchEngine for tests: each call counts down by one a step, or does what its method says."""

import ctypes
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from src.domain.errors import EngineUnavailable, NoSpeechDetected


@dataclass(eq=False)
class Counting:
    method: str
    value: object
    left: int
    shared: int = 0  # the most calls that any of its steps had
    cancelled: bool = False
    order: list[str] = field(default_factory=list)

    def cancel(self) -> None:
        self.cancelled = True


class BatchEngine:
    """`count(value, steps, file)` answers (value, most calls in one of its steps) and writes its value into `file` at
    its first step. `fail` is refused, `break` breaks the engine at its first step, `hang` ignores everybody.
    """

    told = "counting"

    def __init__(self, prefix: str = "", step_seconds: float = 0.001) -> None:
        self._prefix, self._step_seconds = prefix, step_seconds
        self._works: list[Counting] = []

    @property
    def methods(self) -> frozenset[str]:
        names = ("count", "refuse", "spoil", "break", "die", "hang", "pid", "unpicklable", "odd")
        return frozenset(self._prefix + name for name in names)

    def begin(self, method: str, args: tuple[object, ...]) -> Counting:
        name = method.removeprefix(self._prefix)
        if name == "refuse":
            raise NoSpeechDetected("Nothing was said.", retry_after_seconds=7)
        if name == "spoil":
            raise ValueError(f"cannot parse {args[0]}")
        steps = args[1] if name == "count" else 1
        work = Counting(name, args[0] if args else None, int(str(steps)))
        if name == "count" and len(args) > 2:
            with open(str(args[2]), "a") as file:  # noqa: PTH123 - one write, appended
                file.write(f"{args[0]}\n")
        self._works.append(work)
        return work

    def step(self) -> Sequence[Counting]:
        time.sleep(self._step_seconds)
        for work in self._works:
            work.shared = max(work.shared, len(self._works))
            if work.method == "break":
                raise RuntimeError(f"cannot go on with {work.value}")
            if work.method == "die":
                os._exit(9)
            if work.method == "hang":
                ctypes.PyDLL(None).sleep(60)
            work.left -= 1
        return [work for work in self._works if work.left <= 0]

    def result(self, work: Counting) -> object:
        if work.method == "unpicklable":
            return lambda: None
        if work.method == "odd":
            raise NoSpeechDetected("In the end nothing.")
        return os.getpid() if work.method == "pid" else (work.value, work.shared)

    def drop(self, work: Counting) -> None:
        self._works.remove(work)


def missing() -> BatchEngine:
    raise EngineUnavailable("The weights are not there.")
