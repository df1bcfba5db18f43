"""A fixed number of warm child processes, each with one object whose methods are called from the event loop.

A call can be ended at any time by killing its child, which is how deadlines and cancellation reach native code. One
thread per child starts it, waits for its answers and replaces it when it is gone; all bookkeeping is done on the event
loop.
"""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import connection
from typing import Any

from src.domain.errors import DeadlineExceeded, EngineUnavailable, Overloaded, VoiceServiceError
from src.workers import child as wire
from src.workers.child_keeper import Call, ChildKeeper, child_settings
from src.workers.child_process import ChildProcess, ChildSettings, Message

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_CLOSE_SECONDS = 10.0


class ProcessPool:
    """Implements `domain.ports.Runner` with `size` child processes, first come first served.

    `factory` makes the object whose methods are called; `init` runs before it in each child (limits), `before_call`
    before each call. All three are picklable: top-level callables, or functools.partial of them. `queue_size` calls may
    wait for a free child, each as long as a call may take. `environment` None: the parent's. Arguments are anything
    picklable; results are made of builtin values, numpy arrays and classes of `src.domain`, because a child's answer is
    not trusted.
    """

    def __init__(
        self,
        factory: Callable[[], object],
        size: int,
        queue_size: int,
        call_timeout_seconds: float,
        name: str,
        init: Callable[[], None] | None = None,
        *,
        before_call: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        surroundings = {**(os.environ if environment is None else environment), **_ONE_THREAD}
        self._settings = child_settings(name, factory, partial(wire.serve_calls, before_call), init, surroundings)
        self._name = name
        self._size = size
        self._queue_size = queue_size
        self._call_timeout_seconds = call_timeout_seconds
        self._slots: list[_Slot] = []
        self._idle: deque[_Slot] = deque()
        self._waiting: deque[asyncio.Future[_Slot]] = deque()
        self._seconds_per_call = 1.0  # moving average, for Retry-After
        self._closed = False

    async def start(self) -> None:
        """Start all children at the same time. Raises EngineUnavailable, or the domain error of a factory."""
        self._slots = [_Slot(self, self._settings) for _ in range(self._size)]
        try:
            await asyncio.gather(*(slot.first_start for slot in self._slots))
        except BaseException:
            await self.close()
            raise

    async def run(self, method: str, *args: object) -> Any:
        """Call `method` in a child. Cancelling kills that child.

        Raises Overloaded, DeadlineExceeded, EngineUnavailable when the child died, InternalError for a defect, and
        whatever error of the domain the method raises.
        """
        slot = await self._acquire()
        call = Call(method, args, asyncio.get_running_loop().create_future())
        begun = time.monotonic()
        slot.submit(call)
        try:
            await asyncio.wait({call.answer}, timeout=self._call_timeout_seconds)
        finally:
            if not call.answer.done():
                slot.abandon(call)
        self._seconds_per_call += 0.1 * (time.monotonic() - begun - self._seconds_per_call)
        if not call.answer.done():
            raise DeadlineExceeded(f"The {self._name} engine did not finish in {self._call_timeout_seconds:g} s.")
        return call.answer.result()

    async def close(self) -> None:
        """Kill the children and wait, 10 s at most, until they are gone. Unfinished calls get EngineUnavailable."""
        self._closed = True
        self._idle.clear()
        self._dismiss()
        for slot in self._slots:
            slot.stop()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        end = time.monotonic() + _CLOSE_SECONDS
        for slot in self._slots:
            slot.join(max(0.0, end - time.monotonic()))

    @property
    def alive(self) -> bool:
        return not self._closed and any(slot.healthy for slot in self._slots)

    async def _acquire(self) -> "_Slot":
        """A free slot, in the order of asking."""
        if not self.alive:
            raise self._gone()
        if self._idle:
            return self._idle.popleft()
        if len(self._waiting) >= self._queue_size:
            raise self._overloaded()
        waiter: asyncio.Future[_Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait({waiter}, timeout=self._call_timeout_seconds)
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        if waiter.done():
            return waiter.result()
        self._withdraw(waiter)
        raise self._overloaded()

    def _withdraw(self, waiter: "asyncio.Future[_Slot]") -> None:
        """Leave the queue; a slot that came in that very moment goes to the next in it."""
        if not waiter.done():
            self._waiting.remove(waiter)
        elif waiter.exception() is None:
            self.slot_ready(waiter.result())

    def slot_ready(self, slot: "_Slot") -> None:
        """A slot waits for a call."""
        if self._waiting:
            self._waiting.popleft().set_result(slot)
        elif not self._closed:
            self._idle.append(slot)

    def slot_lost(self, slot: "_Slot") -> None:
        """A slot's child is gone; when it was the last that could be started, nobody waits for it."""
        if slot in self._idle:
            self._idle.remove(slot)
        if not self.alive:
            self._dismiss()

    def _dismiss(self) -> None:
        while self._waiting:
            self._waiting.popleft().set_exception(self._gone())

    def _overloaded(self) -> Overloaded:
        seconds = math.ceil(self._seconds_per_call * (len(self._waiting) + 1) / self._size)
        return Overloaded(f"The {self._name} engine has too many calls waiting.", retry_after_seconds=max(1, seconds))

    def _gone(self) -> EngineUnavailable:
        return EngineUnavailable(f"The {self._name} engine is not running.", retry_after_seconds=5)


class _Slot(ChildKeeper):
    """One child of a pool, which does one call at a time. Its public methods are called on the event loop."""

    def __init__(self, owner: ProcessPool, settings: ChildSettings) -> None:
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
