"""What the process pool's tests run in child processes. Imports little, so that a child starts fast."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from src.domain.errors import EngineUnavailable, NoSpeechDetected

SECRET = "what the caller said"


class Engine:
    """Stands for an engine in a child process."""

    def __init__(self, prepared_in: str | None = None) -> None:
        if prepared_in is not None and not Path(prepared_in).exists():
            raise EngineUnavailable("apt-get install engine")
        self.calls = 0

    def pid(self) -> int:
        return os.getpid()

    def echo(self, value: object) -> object:
        return value

    def sleep(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    def hold_the_gil(self) -> None:
        ctypes.PyDLL(None).sleep(60)

    def die(self, how: str) -> None:
        if how == "segfault":
            ctypes.string_at(0)
        elif how == "exit":
            sys.exit(3)
        elif how == "memory":
            raise MemoryError
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(self, kind: str) -> None:
        if kind == "domain":
            raise NoSpeechDetected("Nothing was said.", retry_after_seconds=7)
        raise ValueError(f"cannot parse {SECRET}")

    def print_lines(self, text: str, times: int) -> None:
        """As a library in C does, and a program that it starts."""
        os.write(2, f"{text}\n".encode() * times)
        subprocess.run(["sh", "-c", "echo from a program >&2"], check=True)

    def odd_answer(self) -> object:
        return Path("/")

    def unpicklable(self) -> object:
        return lambda: None

    def hostile(self) -> object:
        return Hostile()

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def log(self, text: str) -> None:
        logging.getLogger("engine").warning(text)

    def spawn_program(self, pid_file: str) -> None:
        program = subprocess.Popen(["sleep", "60"])
        Path(pid_file).write_text(str(program.pid))
        program.wait()


class Hostile:
    """What a subverted decoder would answer: code that the parent runs when it unpickles."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.kill, (os.getppid(), signal.SIGUSR1))


def mark(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("x")
