"""A child process as the parent holds it: started, talked to, killed, reaped."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from src.utils.tracing import Stack
from src.workers import child as wire

Message = tuple[Any, ...]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from src.workers.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_REAP_SECONDS = 5.0
_MAX_PRINTED_LINES, _MAX_PRINTED_BYTES = 200, 2000
"""Of one child, and of each line."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """How every child of a pool is started. `start_seconds` bounds its imports, init and factory together."""

    name: str
    spec: wire.ChildSpec = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    start_seconds: float


class ChildProcess:
    """A started process. One thread talks to it; any thread may kill it."""

    def __init__(self, settings: ChildSettings) -> None:
        self._socket, theirs = socket.socketpair()
        self.killed = False
        with theirs:
            arguments = (json.dumps(sys.path), str(theirs.fileno()), str(os.getpid()))
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, *arguments],
                env=dict(settings.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in a terminal is for the parent; a kill reaches what the child started
            )
        threading.Thread(target=self._log_errors, args=(settings.name,), daemon=True).start()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: object) -> None:
        wire.send(self._socket, message)

    def read(self) -> Message | None:
        """The next message; None when it was a log record, which is passed on. Raises ConnectionLost."""
        message = wire.receive(self._socket, trusted=False)
        if not isinstance(message, tuple) or len(message) != wire.LENGTHS.get(message[0]):
            raise wire.ConnectionLost
        if message[0] != wire.LOG:
            return message
        _, name, level, text = message
        message, _, stack = str(text).partition("\n")
        logging.getLogger(str(name)).log(int(level), "%s\n%s" if stack else "%s%s", message, Stack(stack))
        return None

    def answer(self) -> Message:
        while True:
            message = self.read()
            if message is not None:
                return message

    def _log_errors(self, name: str) -> None:
        """What the child, its libraries and the programs that it starts print, until they end, as lines of the log."""
        assert self._process.stderr is not None  # noqa: S101 - as it was started
        with self._process.stderr as printed:
            for number, line in enumerate(iter(lambda: printed.readline(_MAX_PRINTED_BYTES), b"")):
                text = line.decode(errors="replace").rstrip()
                if text and number < _MAX_PRINTED_LINES:
                    logger.warning("a %s process printed: %s", name, text)

    def kill(self) -> None:
        self.killed = True
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def destroy(self) -> int | None:
        """Kill, reap and close. The exit status, negative for a signal; None when it does not die."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)  # it closed its socket, so it is ending: learn how
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_REAP_SECONDS)
        return None
