"""One place in a process pool: a child process that does one call at a time."""

from multiprocessing import connection
from typing import Protocol

from src.domain.errors import VoiceServiceError
from src.workers import child as wire
from src.workers.calls import Call
from src.workers.child_keeper import ChildKeeper
from src.workers.child_process import ChildProcess, ChildSettings, Message


class SlotOwner(Protocol):
    """The pool, as its slots see it; called on the event loop."""

    def slot_ready(self, slot: "Slot") -> None:
        """The slot waits for a call."""

    def slot_lost(self, slot: "Slot") -> None:
        """The slot has no child for now, and takes no calls until it is ready again."""


class Slot(ChildKeeper):
    """Owned by a pool; its public methods are called on the event loop."""

    def __init__(self, owner: SlotOwner, settings: ChildSettings) -> None:
        super().__init__(settings)
        self._owner = owner
        self._current: Call | None = None  # the event loop's view
        self._inbox: Call | None = None
        self._working: Call | None = None  # the thread's view
        self._thread.start()

    def submit(self, call: Call) -> None:
        self._current = call
        with self._lock:
            self._inbox = call
        self._wake()

    def abandon(self, call: Call) -> None:
        """Nobody wants the answer: kill the child that works on it, if one has begun."""
        with self._lock:
            call.abandoned = True
            if self._working is call and self._child is not None:
                self._child.kill()

    def _on_ready(self) -> None:
        if self._current is None:
            self._owner.slot_ready(self)

    def _on_lost(self) -> None:
        self._owner.slot_lost(self)

    def _settle(self, call: Call, outcome: Message) -> None:
        self._current = None
        call.settle(outcome, self._settings.name)

    # --- below: on the slot's thread

    def _refuse(self, error: VoiceServiceError) -> None:
        with self._lock:
            call, self._inbox = self._inbox, None
        self._fail(call, error)

    def _orphan(self, error: VoiceServiceError) -> None:
        with self._lock:
            call, self._working = self._working, None
        self._fail(call, error)

    def _fail(self, call: Call | None, error: VoiceServiceError) -> None:
        if call is not None:
            self._tell(self._settle, call, (wire.ERROR, error))

    def _serve(self, child: ChildProcess) -> None:
        while not self._stopping.is_set():
            ready = connection.wait([self._signalled, child])  # type: ignore[list-item] # anything with fileno() will do
            if self._signalled in ready:
                self._signalled.recv(1)
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
