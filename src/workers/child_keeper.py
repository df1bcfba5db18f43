"""A thread that keeps one child process alive: starts it, talks to it, and starts another when it is gone.

The thread blocks on the socket so that the event loop never does. The kernel kills a child when the thread that started
it ends (PR_SET_PDEATHSIG), so no child outlives the service, however that ends.
"""

import asyncio
import logging
import os
import pickle
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from src.domain.errors import EngineUnavailable, InternalError, VoiceServiceError
from src.utils.tracing import OWN_LOGGER, Stack
from src.workers import child as wire
from src.workers.child_process import ChildProcess, ChildSettings, Message

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 0.2, 10.0
_START_SECONDS = 120.0


@dataclass(eq=False, slots=True)
class Call:
    """`abandoned`: nobody waits for the answer any more. `context`: whose it is, for the log."""

    method: str
    args: tuple[object, ...] = field(repr=False)
    answer: "asyncio.Future[Any]"
    abandoned: bool = False
    context: Context = field(default_factory=copy_context, repr=False)

    def settle(self, outcome: Message, engine: str) -> None:
        """Hand (RESULT, ERROR or DEFECT, value) to the caller, if there still is one. On the event loop."""
        if self.abandoned or self.answer.done():
            return
        kind, value = outcome
        if kind == wire.RESULT:
            self.answer.set_result(value)
        elif kind == wire.ERROR and isinstance(value, VoiceServiceError):
            self.answer.set_exception(value)
        else:
            self.context.run(logger.error, "defect in %s.%s\n%s", engine, self.method, Stack(value))
            self.answer.set_exception(InternalError(f"The {engine} engine failed."))


def child_settings(
    name: str,
    factory: Callable[[], object],
    serve: Callable[[wire.Channel, object], None],
    init: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildSettings:
    """`factory` makes what `serve` answers with; `init` runs before it. All are picklable. `environment` None: the
    parent's.
    """
    spec = wire.ChildSpec(
        pickle.dumps(init),
        pickle.dumps(factory),
        pickle.dumps(serve),
        logging.getLogger(OWN_LOGGER).getEffectiveLevel(),
    )
    return ChildSettings(name, spec, dict(os.environ if environment is None else environment), _START_SECONDS)


class ChildKeeper(ABC):
    """Its public methods are called on the event loop that it was made on."""

    def __init__(self, settings: ChildSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.first_start: asyncio.Future[None] = self._loop.create_future()
        self.healthy = True
        self.told: dict[str, str] = {}
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()  # guards _child, and what a subclass shares with the thread
        self._stopping = threading.Event()
        self._signal, self._signalled = socket.socketpair()
        self._thread = threading.Thread(target=self._live, name=f"{settings.name}-child", daemon=True)

    def stop(self) -> None:
        """Kill the child and end the thread."""
        self._stopping.set()
        if not self.first_start.done():
            self.first_start.set_exception(EngineUnavailable(f"The {self._settings.name} engine was closed."))
        self.kill()
        self._wake()

    def kill(self) -> None:
        """End the child, whatever it does; another one follows unless this was stopped."""
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread, and so for its child's end."""
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            logger.error("a %s process does not end", self._settings.name)
            return
        self._signal.close()
        self._signalled.close()

    def _wake(self) -> None:
        """Have the thread look at what the event loop left for it."""
        with suppress(OSError):
            self._signal.send(b"\0")

    @abstractmethod
    def _on_ready(self) -> None:
        """The child waits for work. On the event loop, as the next one."""

    @abstractmethod
    def _on_lost(self) -> None:
        """There is no child for now."""

    def _ready(self) -> None:
        self.healthy = True
        if not self.first_start.done():
            self.first_start.set_result(None)
        self._on_ready()

    def _lost(self, error: VoiceServiceError | None) -> None:
        if error is not None:
            self.healthy = False
            if not self.first_start.done():
                self.first_start.set_exception(error)
        self._on_lost()

    # --- below: on the thread

    @abstractmethod
    def _serve(self, child: ChildProcess) -> None:
        """Talk to the child until told to stop. Raises ConnectionLost when the child is gone."""

    @abstractmethod
    def _refuse(self, error: VoiceServiceError) -> None:
        """No child can be started, for this reason: what waits for one learns it."""

    @abstractmethod
    def _orphan(self, error: VoiceServiceError) -> None:
        """The child is gone, and with it what it worked on."""

    def _tell(self, callback: Callable[..., None], *args: object) -> None:
        """Call back on the event loop."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, *args)

    def _live(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while not self._stopping.is_set():
            try:
                child = self._start_child()
            except VoiceServiceError as error:
                self._tell(self._lost, error)
                self._refuse(error)
                self._stopping.wait(backoff)
                backoff = min(2 * backoff, _LAST_BACKOFF_SECONDS)
                continue
            backoff = _FIRST_BACKOFF_SECONDS
            self._tell(self._ready)
            try:
                self._serve(child)
            except wire.ConnectionLost:
                self._mourn(child)
        self._discard()

    def _mourn(self, child: ChildProcess) -> None:
        expected = child.killed
        status = self._discard()
        self._tell(self._lost, None)
        if not expected:
            logger.warning("a %s process ended by itself (status %s) and is replaced", self._settings.name, status)
        detail = f"The {self._settings.name} process ended unexpectedly."
        self._orphan(EngineUnavailable(detail, retry_after_seconds=1))

    def _start_child(self) -> ChildProcess:
        """Raises EngineUnavailable, or the domain error that the factory raised."""
        try:
            child = ChildProcess(self._settings)
        except OSError as error:
            raise EngineUnavailable(f"A {self._settings.name} process cannot be started: {error.strerror}.") from error
        with self._lock:
            self._child = child
        watchdog = threading.Timer(self._settings.start_seconds, child.kill)
        watchdog.start()
        try:
            if self._stopping.is_set():
                child.kill()
            child.send(self._settings.spec)
            self._expect_ready(child.answer())
        except wire.ConnectionLost:
            status = self._discard()
            raise EngineUnavailable(f"A {self._settings.name} process ended at start (status {status}).") from None
        except VoiceServiceError:
            self._discard()
            raise
        finally:
            watchdog.cancel()
        return child

    def _expect_ready(self, message: Message) -> None:
        if message[0] == wire.READY:
            self.told = message[1]
            return
        if message[0] == wire.ERROR and isinstance(message[1], VoiceServiceError):
            raise message[1]
        logger.error("a %s process cannot start\n%s", self._settings.name, Stack(message[1]))
        reason = str(message[1]).strip().splitlines()[-1]
        raise EngineUnavailable(f"A {self._settings.name} process cannot start: {reason}")

    def _discard(self) -> int | None:
        with self._lock:
            child, self._child = self._child, None
        return None if child is None else child.destroy()
