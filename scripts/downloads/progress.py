"""How far a download is: bars on a terminal, else a line now and then."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never, Protocol, TextIO

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class Meter(Protocol):
    """Of one file, in bytes."""

    def at(self, position: int) -> None: ...


class Progress(Protocol):
    def say(self, text: str) -> None: ...

    @contextmanager
    def meter(self, name: str, total: int) -> Iterator[Meter]: ...


def for_terminal(stream: TextIO = sys.stderr) -> Progress:
    return Bars(stream) if stream.isatty() else Lines(stream)


def size(count: int) -> str:
    """As people write bytes: `145 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:.0f} {unit}"
    return f"{count} bytes"


class Bars:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        tqdm.write(text, file=self._stream)

    @contextmanager
    def meter(self, name: str, total: int) -> Iterator[Meter]:
        # 80 by 24 where the terminal does not say, which tqdm by itself would take for no room at all.
        columns, rows = shutil.get_terminal_size()
        with tqdm(
            total=total, desc=name, unit="B", unit_scale=True, file=self._stream, ncols=columns, nrows=rows, miniters=1
        ) as bar:
            yield _Bar(bar)


class _Bar:
    def __init__(self, bar: "tqdm[Never]") -> None:
        self._bar = bar
        self._begun = False

    def at(self, position: int) -> None:
        if not self._begun or position < self._bar.n:
            # What an earlier run brought is no part of this one's speed.
            self._begun = True
            self._bar.initial = self._bar.n = position
            self._bar.refresh()
        else:
            self._bar.update(position - self._bar.n)


class Lines:
    def __init__(self, stream: TextIO, seconds_between: float = _SECONDS_BETWEEN_LINES) -> None:
        self._stream, self._seconds = stream, seconds_between

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    @contextmanager
    def meter(self, name: str, total: int) -> Iterator[Meter]:
        self.say(f"{name}: {size(total)}")
        yield _Line(self, name, total, self._seconds)


class _Line:
    def __init__(self, lines: Lines, name: str, total: int, seconds: float) -> None:
        self._lines, self._name, self._total, self._seconds = lines, name, total, seconds
        self._last = time.monotonic()

    def at(self, position: int) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._last = time.monotonic()
            share = position / max(1, self._total)
            self._lines.say(f"{self._name}: {size(position)} of {size(self._total)} ({share:.0%})")
