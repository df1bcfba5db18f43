"""The owner of a device, inside its process: engines that share it take turns, each serving many calls at once.

The main thread steps the engines. A second thread reads what the parent sends, so that a call can be cancelled while a
step is under way, and the parent never waits for room in the socket.
"""

import logging
import pickle
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from src.domain.errors import JobCancelled
from src.domain.ports import BatchEngine, Work
from src.workers import child as wire

logger = logging.getLogger(__name__)

CALL, CANCEL = "call", "cancel"
"""What the parent sends: (CALL, number, method, args) and (CANCEL, number)."""


@dataclass(eq=False, slots=True)
class _Lane:
    """One engine, the calls that it works on by their numbers, and the seconds of the device that it has had."""

    engine: BatchEngine
    works: dict[int, Work] = field(default_factory=dict)
    spent: float = 0.0


class Device:
    """What a GpuWorker's child is made of. `factories` make the engines, in this order, before the first call."""

    def __init__(self, *factories: Callable[[], BatchEngine]) -> None:
        self._lanes = [_Lane(factory()) for factory in factories]
        self.told = {method: lane.engine.told for lane in self._lanes for method in lane.engine.methods}
        self._inbox: queue.SimpleQueue[tuple[object, ...] | None] = queue.SimpleQueue()

    def serve(self, channel: wire.Channel) -> None:
        """Until the parent is gone, or an engine breaks: then this ends, and with it the process and its state."""
        threading.Thread(target=self._read, args=(channel,), daemon=True).start()
        intact = True
        while intact:
            busy = [lane for lane in self._lanes if lane.works]
            try:
                message = self._inbox.get(block=not busy)
            except queue.Empty:
                intact = self._step(min(busy, key=lambda lane: lane.spent), channel)
                continue
            if message is None:
                return
            self._follow(channel, message)
            if busy and message[0] == CALL:  # between two beginnings there is a step: nobody waits for the whole inbox
                intact = self._step(min(busy, key=lambda lane: lane.spent), channel)

    def _read(self, channel: wire.Channel) -> None:
        with suppress(wire.ConnectionLost):
            while True:
                message = channel.receive()
                if message[0] == CANCEL and (found := self._find(message[1])) is not None:
                    found[1].cancel()  # now, in the middle of a step
                self._inbox.put(message)
        self._inbox.put(None)

    def _find(self, number: object) -> tuple[_Lane, Work] | None:
        return next(((lane, lane.works[number]) for lane in self._lanes if number in lane.works), None)

    def _follow(self, channel: wire.Channel, message: tuple[object, ...]) -> None:
        if message[0] == CALL:
            self._begin(channel, *message[1:])  # type: ignore[arg-type] # the parent's
        elif (found := self._find(message[1])) is not None:
            error = JobCancelled("The call was cancelled.")
            self._end(found[0], channel, message[1], (wire.ERROR, error))  # type: ignore[arg-type]

    def _begin(self, channel: wire.Channel, number: int, method: str, args: tuple[object, ...]) -> None:
        lane = next((lane for lane in self._lanes if method in lane.engine.methods), None)
        if lane is None:
            _answer(channel, number, (wire.DEFECT, f"no engine has the method {method}"))
            return
        kind, begun = wire.outcome(partial(lane.engine.begin, method, args))
        if kind != wire.RESULT:
            _answer(channel, number, (kind, begun))
            return
        if not lane.works:  # rest is not saved up: who comes back takes turns with the others from now on
            others = [other.spent for other in self._lanes if other.works]
            lane.spent = max(lane.spent, min(others, default=lane.spent))
        lane.works[number] = begun  # type: ignore[assignment] # the outcome of `begin`

    def _step(self, lane: _Lane, channel: wire.Channel) -> bool:
        """One step of one engine. False when it broke: the callers learn it by the end of this process."""
        began = time.monotonic()
        kind, value = wire.outcome(lane.engine.step)
        if kind != wire.RESULT:
            logger.error("an engine broke, and its process ends:\n%s", value)
            return False
        finished = {id(work) for work in value}  # type: ignore[attr-defined] # the outcome of `step`
        for number in [number for number, work in lane.works.items() if id(work) in finished]:
            self._end(lane, channel, number, wire.outcome(partial(lane.engine.result, lane.works[number])))
        lane.spent += time.monotonic() - began
        return True

    def _end(self, lane: _Lane, channel: wire.Channel, number: int, outcome: wire.Outcome) -> None:
        lane.engine.drop(lane.works.pop(number))
        _answer(channel, number, outcome)


def _answer(channel: wire.Channel, number: int, outcome: wire.Outcome) -> None:
    try:
        channel.send((wire.ANSWER, number, outcome))
    except (pickle.PicklingError, TypeError, AttributeError):
        text = f"it returned what cannot be pickled: {type(outcome[1]).__name__}"
        channel.send((wire.ANSWER, number, (wire.DEFECT, text)))


def serve_device(channel: wire.Channel, device: object) -> None:
    """A child's life, for `child_keeper.child_settings`."""
    if isinstance(device, Device):
        device.serve(channel)
