"""The owner of a device, as the service sees it: one child process in which engines serve many calls at once.

    run(method, args) → a fair, bounded queue → the child (`device.py`), `in_flight` calls at most → the answer

What can go wrong, and what the caller gets:

- more calls than the queue holds: Overloaded, at once;
- the caller goes away: its call leaves the queue, or is cancelled in the child, within one step;
- a call takes too long: DeadlineExceeded; if the child does not let go of it, it is killed;
- the child dies, or an engine in it breaks: the calls that were in it are done once more, each alone, so that the one
  that did it takes no other with it again; then it gets EngineUnavailable;
- no child can be started: EngineUnavailable for all that wait.
"""

import asyncio
import itertools
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from typing import Any

from src.domain.errors import DeadlineExceeded, EngineUnavailable, Overloaded, VoiceServiceError
from src.domain.identity import current_user
from src.domain.ports import BatchEngine
from src.utils import metrics
from src.workers import child as wire
from src.workers.child_keeper import Call, ChildKeeper, child_settings
from src.workers.child_process import ChildProcess, ChildSettings, Message
from src.workers.device import CALL, CANCEL, Device, serve_device
from src.workers.fair_queue import FairQueue

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0
_LEAVE_SECONDS = 10.0
_PATIENT = {"GOMP_SPINCOUNT": "10000"}
"""Threads of torch that wait for each other give their core away after some microseconds. They are as fast as with the
usual milliseconds, which other processes on the same cores pay for."""


class GpuWorker:
    """Implements `domain.ports.Runner` over one process that has all `factories`' engines.

    Each factory is picklable and makes a BatchEngine in the child; no method name is in two of them. `queue_size` calls
    may wait, each user's in order and users in turn (`current_user`). `in_flight` calls are with the engines.
    `leave_seconds`: how long the child may take to let go of a call that nobody wants, before it is killed.
    """

    def __init__(
        self,
        *factories: Callable[[], BatchEngine],
        queue_size: int,
        in_flight: int,
        call_timeout_seconds: float,
        name: str,
        leave_seconds: float = _LEAVE_SECONDS,
    ) -> None:
        self._settings = child_settings(
            name, partial(Device, *factories), serve_device, environment={**_PATIENT, **os.environ}
        )
        self._name = name
        self._queue_size, self._in_flight = queue_size, in_flight
        self._call_timeout_seconds, self._leave_seconds = call_timeout_seconds, leave_seconds
        self._queue: FairQueue[Call] = FairQueue()
        self._again: deque[Call] = deque()  # calls that were in a child when it ended: one at a time, before all others
        self._tried: set[Call] = set()
        self._inside: dict[int, Call] = {}
        self._numbers = itertools.count()
        self._seconds_per_call = 1.0  # moving average, for Retry-After
        self._ready = self._closed = False
        self._link: _Link | None = None

    async def start(self) -> None:
        """Raises EngineUnavailable, or the domain error of a factory."""
        self._link = _Link(self, self._settings)
        try:
            await self._link.first_start
        except BaseException:
            await self.close()
            raise

    async def run(self, method: str, *args: object) -> Any:
        """Call `method` of the engine that has it. Cancelling reaches the engine.

        Raises Overloaded, DeadlineExceeded, EngineUnavailable, InternalError for a defect, and whatever error of the
        domain the method raises.
        """
        if not self.alive:
            raise self._gone()
        if len(self._queue) >= self._queue_size:
            raise self._overloaded()
        user, begun = current_user.get(), time.monotonic()
        call = Call(method, args, asyncio.get_running_loop().create_future())
        self._queue.put(user, call)
        self._send()
        try:
            await asyncio.wait({call.answer}, timeout=self._call_timeout_seconds)
        finally:
            if not call.answer.done():
                waited = self._queue.remove(user, call)
                self._abandon(call)
        if not call.answer.done():
            if waited:
                raise self._overloaded()
            raise DeadlineExceeded(f"The {self._name} engine did not finish in {self._call_timeout_seconds:g} s.")
        self._seconds_per_call += 0.1 * (time.monotonic() - begun - self._seconds_per_call)
        return call.answer.result()

    async def close(self) -> None:
        """Kill the child and wait, 10 s at most, until it is gone. Unfinished calls get EngineUnavailable."""
        self._closed = True
        self._dismiss()
        if self._link is not None:
            self._link.stop()
            await asyncio.to_thread(self._link.join, _CLOSE_SECONDS)

    @property
    def alive(self) -> bool:
        return not self._closed and self._link is not None and self._link.healthy

    @property
    def told(self) -> dict[str, str]:
        """Of the engine of each method: its network, device and precision. Empty before the first child is ready."""
        return self._link.told if self._link is not None else {}

    # --- what the link tells, on the event loop

    def child_ready(self) -> None:
        """There is a child, and it has no calls."""
        self._ready = True
        self._send()

    def child_lost(self) -> None:
        """There is none. What it worked on is done once more, alone; what was done alone has had its chance."""
        self._ready = False
        for call in self._inside.values():
            if call in self._tried:
                error = EngineUnavailable(f"The {self._name} process ended unexpectedly.", retry_after_seconds=1)
                self._settle(call, (wire.ERROR, error))
            elif not call.abandoned:
                self._tried.add(call)
                self._again.append(call)
        self._inside.clear()
        if not self.alive:
            self._dismiss()

    def answered(self, number: int, outcome: Message) -> None:
        """The child is done with a call."""
        if (call := self._inside.pop(number, None)) is not None:
            self._settle(call, outcome)
        self._send()

    # ---

    def _settle(self, call: Call, outcome: Message) -> None:
        self._tried.discard(call)
        call.settle(outcome, self._name)

    def _send(self) -> None:
        """Give the child what it has room for."""
        while self._ready and self._link is not None:
            alone = bool(self._again) or any(call in self._tried for call in self._inside.values())
            if len(self._inside) >= (1 if alone else self._in_flight):
                return
            if self._again:
                call = self._again.popleft()
            elif len(self._queue):
                call = self._queue.take()
            else:
                return
            number = next(self._numbers)
            self._inside[number] = call
            metrics.BATCH_CALLS.labels(self._name).observe(len(self._inside))
            self._link.post((CALL, number, call.method, call.args))

    def _abandon(self, call: Call) -> None:
        """Nobody waits for it any more."""
        call.abandoned = True
        self._tried.discard(call)
        if call in self._again:
            self._again.remove(call)
        for number, inside in self._inside.items():
            if inside is call and self._link is not None:
                self._link.post((CANCEL, number))
                asyncio.get_running_loop().call_later(self._leave_seconds, self._kill_if_held, number)

    def _kill_if_held(self, number: int) -> None:
        if number in self._inside and self._link is not None:
            logger.error("a %s process does not let go of a cancelled call and is killed", self._name)
            self._link.kill()

    def _dismiss(self) -> None:
        calls = [*self._inside.values(), *self._again, *(self._queue.take() for _ in range(len(self._queue)))]
        self._inside.clear()
        self._again.clear()
        for call in calls:
            self._settle(call, (wire.ERROR, self._gone()))

    def _overloaded(self) -> Overloaded:
        seconds = math.ceil(self._seconds_per_call * (len(self._queue) + 1) / self._in_flight)
        return Overloaded(f"The {self._name} engine has too many calls waiting.", retry_after_seconds=max(1, seconds))

    def _gone(self) -> EngineUnavailable:
        return EngineUnavailable(f"The {self._name} engine is not running.", retry_after_seconds=5)


class _Link(ChildKeeper):
    """The thread between a worker and its child."""

    def __init__(self, owner: GpuWorker, settings: ChildSettings) -> None:
        super().__init__(settings)
        self._owner = owner
        self._outbox: deque[tuple[int, Message]] = deque()  # guarded by the lock
        # Children so far: as the event loop has learnt, and as the thread has started them. What was posted to one that
        # is gone, before the loop learnt it, must not reach the next.
        self._known = self._served = 0
        self._thread.start()

    def post(self, message: Message) -> None:
        """Send it to the child that there is now; it is dropped with it."""
        with self._lock:
            self._outbox.append((self._known, message))
        self._wake()

    def _on_ready(self) -> None:
        self._known += 1
        self._owner.child_ready()

    def _on_lost(self) -> None:
        self._owner.child_lost()

    # --- below: on the link's thread

    def _refuse(self, error: VoiceServiceError) -> None:
        """The owner dismisses its calls when it learns that there is no healthy child."""

    def _orphan(self, error: VoiceServiceError) -> None:
        """The owner knows which calls were in the child."""

    def _serve(self, child: ChildProcess) -> None:
        self._served += 1
        both: list[Any] = [self._signalled, child]  # anything with fileno() will do
        while not self._stopping.is_set():
            ready: list[Any] = connection.wait(both)
            if self._signalled in ready:
                self._signalled.recv(4096)
                self._flush(child)
            if child in ready and (message := child.read()) is not None:
                self._tell(self._owner.answered, *message[1:])

    def _flush(self, child: ChildProcess) -> None:
        while True:
            with self._lock:
                if not self._outbox:
                    return
                addressee, message = self._outbox.popleft()
            if addressee != self._served:
                continue
            try:
                child.send(message)
            except wire.ConnectionLost:
                raise
            except Exception as error:  # noqa: BLE001 - pickle raises anything; nothing was written yet
                text = f"its arguments cannot be pickled: {type(error).__name__}"
                self._tell(self._owner.answered, message[1], (wire.DEFECT, text))
