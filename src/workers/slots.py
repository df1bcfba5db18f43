"""One place in a process pool: a thread that keeps one child process alive and talks to it.

The thread blocks on the socket so that the event loop never does. The kernel kills a child when the thread that started
it ends (PR_SET_PDEATHSIG), so no child outlives the service, however that ends.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any, Protocol

from src.domain.errors import EngineUnavailable, InternalError, VoiceServiceError
from src.workers import child as wire
from src.workers.child_process import ChildProcess, ChildSettings, Message

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS = 0.2, 10.0


@dataclass(eq=False, slots=True)
class Call:
    """One method call. `abandoned`: nobody waits for the answer any more."""

    method: str
    args: tuple[object, ...] = field(repr=False)
    answer: "asyncio.Future[Any]"
    abandoned: bool = False


class SlotOwner(Protocol):
    """The pool, as its slots see it; called on the event loop."""

    def slot_ready(self, slot: "Slot") -> None:
        """The slot waits for a call."""

    def slot_lost(self, slot: "Slot") -> None:
        """The slot has no child for now, and takes no calls until it is ready again."""


class Slot:
    """Owned by a pool; its public methods are called on the event loop."""

    def __init__(self, owner: SlotOwner, settings: ChildSettings) -> None:
        self._owner = owner
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self.first_start: asyncio.Future[None] = self._loop.create_future()
        self.healthy = True
        self._current: Call | None = None  # the event loop's view
        self._inbox: Call | None = None
        self._working: Call | None = None  # the thread's view
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()  # guards the three above
        self._stopping = threading.Event()
        self._wake, self._awake = socket.socketpair()
        self._thread = threading.Thread(target=self._live, name=f"{settings.name}-child", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        self._current = call
        with self._lock:
            self._inbox = call
        self._wake.send(b"\0")

    def abandon(self, call: Call) -> None:
        """Nobody wants the answer: kill the child that works on it, if one has begun."""
        with self._lock:
            call.abandoned = True
            if self._working is call and self._child is not None:
                self._child.kill()

    def stop(self) -> None:
        """Kill the child and end the thread; a running call fails."""
        self._stopping.set()
        if not self.first_start.done():
            self.first_start.set_exception(EngineUnavailable(f"The {self._settings.name} pool was closed."))
        with self._lock:
            if self._child is not None:
                self._child.kill()
        with suppress(OSError):
            self._wake.send(b"\0")

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread, and so for its child's end."""
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            logger.error("a %s process does not end", self._settings.name)
            return
        self._wake.close()
        self._awake.close()

    def _ready(self) -> None:
        self.healthy = True
        if not self.first_start.done():
            self.first_start.set_result(None)
        if self._current is None:
            self._owner.slot_ready(self)

    def _lost(self, error: VoiceServiceError | None) -> None:
        self._owner.slot_lost(self)
        if error is not None:
            self.healthy = False
            if not self.first_start.done():
                self.first_start.set_exception(error)

    def _settle(self, call: Call, outcome: Message) -> None:
        self._current = None
        if call.abandoned or call.answer.done():
            return
        kind, value = outcome
        if kind == wire.RESULT:
            call.answer.set_result(value)
        elif kind == wire.ERROR and isinstance(value, VoiceServiceError):
            call.answer.set_exception(value)
        else:
            logger.error("defect in %s.%s:\n%s", self._settings.name, call.method, value)
            call.answer.set_exception(InternalError(f"The {self._settings.name} engine failed."))

    # --- below: on the slot's thread

    def _tell(self, callback: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, *args)

    def _live(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while not self._stopping.is_set():
            try:
                child = self._start_child()
            except VoiceServiceError as error:
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

    def _refuse(self, error: VoiceServiceError) -> None:
        """No child could be started: the call that may wait for one learns why."""
        self._tell(self._lost, error)
        with self._lock:
            call, self._inbox = self._inbox, None
        if call is not None:
            self._tell(self._settle, call, (wire.ERROR, error))

    def _mourn(self, child: ChildProcess) -> None:
        """The child is gone: its call fails."""
        expected = child.killed
        status = self._discard()
        with self._lock:
            call, self._working = self._working, None
        self._tell(self._lost, None)
        if not expected:
            logger.warning("a %s process ended by itself (status %s) and is replaced", self._settings.name, status)
        if call is not None:
            error = EngineUnavailable(f"The {self._settings.name} process ended unexpectedly.", retry_after_seconds=1)
            self._tell(self._settle, call, (wire.ERROR, error))

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
            return
        if message[0] == wire.ERROR and isinstance(message[1], VoiceServiceError):
            raise message[1]
        logger.error("a %s process cannot start:\n%s", self._settings.name, message[1])
        reason = str(message[1]).strip().splitlines()[-1]
        raise EngineUnavailable(f"A {self._settings.name} process cannot start: {reason}")

    def _discard(self) -> int | None:
        with self._lock:
            child, self._child = self._child, None
        return None if child is None else child.destroy()

    def _serve(self, child: ChildProcess) -> None:
        """Answer calls until told to stop. Raises ConnectionLost when the child is gone."""
        while not self._stopping.is_set():
            ready = connection.wait([self._awake, child])  # type: ignore[list-item] # anything with fileno() will do
            if self._awake in ready:
                self._awake.recv(1)
                self._answer(child)
            elif child.read() is not None:  # an idle child has nothing to say but log records
                raise wire.ConnectionLost

    def _answer(self, child: ChildProcess) -> None:
        with self._lock:
            call, self._inbox = self._inbox, None
            self._working = None if call is None or call.abandoned else call
        if call is None:
            return
        outcome = (wire.RESULT, None) if call.abandoned else self._exchange(child, call)
        with self._lock:
            self._working = None
        self._tell(self._settle, call, outcome)
        self._tell(self._ready)

    def _exchange(self, child: ChildProcess, call: Call) -> Message:
        try:
            child.send((call.method, call.args))
        except wire.ConnectionLost:
            raise
        except Exception as error:  # noqa: BLE001 - pickle raises anything; nothing was written yet
            return (wire.DEFECT, f"its arguments cannot be pickled: {type(error).__name__}")
        return child.answer()
