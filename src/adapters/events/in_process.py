"""Job events of a service that is one process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Listener:
    """Implements Wake for one event loop."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        # Not wait_for, which before Python 3.12 swallows a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()


class InProcessJobEvents:
    """Implements JobEvents for one event loop. `patience_seconds`: short where other processes end jobs too."""

    def __init__(self, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        self._listeners: dict[str, set[Listener]] = {}

    @property
    def patience_seconds(self) -> float:
        return self._patience_seconds

    async def publish(self, job_id: str) -> None:
        self.wake(job_id)

    def wake(self, job_id: str) -> None:
        for listener in self._listeners.get(job_id, ()):
            listener.wake()

    def wake_all(self) -> None:
        for job_id in self._listeners:
            self.wake(job_id)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[Listener]:
        listener = Listener()
        listeners = self._listeners.setdefault(job_id, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(job_id) is listeners:
                del self._listeners[job_id]
