"""Looks after a service that is being fuzzed: how much memory it takes, which children it has, whether it answers."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

_SECONDS_BETWEEN = 0.1
_SECONDS_TO_ANSWER = 10.0


class Watch:
    """For as long as the context lasts. Memory in MB (10^6 bytes), times in seconds."""

    def __init__(self, pid: int, url: str) -> None:
        self._pid = pid
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self.memory_at_start = 0.0
        self.memory_at_end = 0.0
        self.memory_at_most = 0.0
        self.children: dict[int, float] = {}
        """The most memory that each child had, by process id."""
        self.answer_seconds: list[float] = []
        """Of `/health/live`."""
        self.unanswered = 0

    def __enter__(self) -> Self:
        self.memory_at_start = self.memory_at_most = _megabytes(self._pid, "VmRSS")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.memory_at_end = _megabytes(self._pid, "VmRSS")

    @property
    def growth(self) -> float:
        return self.memory_at_most - self.memory_at_start

    @property
    def child_peak(self) -> float:
        return max(self.children.values(), default=0.0)

    def __str__(self) -> str:
        times = sorted(self.answer_seconds)
        p99 = times[int(len(times) * 0.99)] if times else float("nan")
        return (
            f"memory {self.memory_at_start:.0f} MB at the start, {self.memory_at_most:.0f} at most, "
            f"{self.memory_at_end:.0f} at the end; /health/live asked {len(times) + self.unanswered} times, "
            f"{self.unanswered} unanswered, p99 {1000 * p99:.0f} ms"
        )

    def _look_on(self) -> None:
        with httpx.Client(base_url=self._url, timeout=_SECONDS_TO_ANSWER) as http:
            while not self._ended.wait(_SECONDS_BETWEEN):
                self.memory_at_most = max(self.memory_at_most, _megabytes(self._pid, "VmRSS"))
                for child in _children(self._pid):
                    peak = _megabytes(child, "VmHWM")
                    self.children[child] = max(self.children.get(child, 0.0), peak)
                begun = time.perf_counter()
                try:
                    http.get("/health/live").raise_for_status()
                    self.answer_seconds.append(time.perf_counter() - begun)
                except httpx.HTTPError:
                    self.unanswered += 1


def _megabytes(pid: int, field: str) -> float:
    """0 for a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found.update(int(child) for child in (thread / "children").read_text().split())
    return found
