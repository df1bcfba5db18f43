"""Engine calls: on the side of the API, which has no engines, and on that of the worker, which has. Each is a row, and
a file with its arguments.

    run(method, args) → file, row → a worker claims it, does it, leaves a file with the answer → the answer

What can go wrong, and what the caller gets:

- no worker is there, or none takes the call in time: EngineUnavailable, or Overloaded when there are some;
- too many calls wait: Overloaded, at once;
- the caller goes away: the row is deleted, and the worker that had it stops its engine, within a step of that;
- the worker dies: another one does the call, as often as a job may be begun; then EngineUnavailable;
- this process dies: the row is deleted when its time is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any
from uuid import uuid4

from src.domain.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InternalError,
    NotFound,
    Overloaded,
    Unavailable,
    VoiceServiceError,
    error_kind,
)
from src.domain.identity import Trace, current_trace, current_user, working_for
from src.domain.jobs import JobStatus, now
from src.domain.leases import WAITING, CallRepository, EngineCall
from src.domain.ports import JobEvents, Storage
from src.services.jobs.ending import job_error
from src.services.jobs.runner import LeasedRunner
from src.utils.codec import CodecError, decode, encode
from src.utils.tracing import span_of

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 10.0
"""After its caller's deadline, until somebody else takes a call away."""
_CLOSE_SECONDS = 5.0


@dataclass(eq=False)
class QueuedCalls:
    """Implements `domain.ports.Runner`. `most_waiting` calls may wait for a worker, each for `patience_seconds`; one
    attempt and the waiting take `timeout_seconds` at most. `anyone`: whether a worker is there.
    """

    calls: CallRepository
    storage: Storage
    events: JobEvents
    anyone: Callable[[], bool]
    _: KW_ONLY
    most_waiting: int
    patience_seconds: float
    timeout_seconds: float
    _leaving: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def start(self) -> None:
        """Nothing: the workers start by themselves."""

    async def close(self) -> None:
        """Take away what is left of calls that have just ended."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_CLOSE_SECONDS)

    @property
    def alive(self) -> bool:
        return self.anyone()

    async def run(self, method: str, *args: object) -> Any:
        """Raises Overloaded, EngineUnavailable, DeadlineExceeded, and what the method raises."""
        if not self.alive:
            raise self._nobody()
        call = EngineCall(uuid4().hex, current_user.get(), method)
        try:
            await self.storage.put(call.arguments_key, await asyncio.to_thread(_packed, method, args))
            await self.calls.add(call, self.most_waiting, self.timeout_seconds + _GRACE_SECONDS)
            await self.events.publish(WAITING)
            return await self._answer(await self._ended(call))
        finally:
            leaving = asyncio.create_task(self._take_away(call))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _ended(self, call: EngineCall) -> EngineCall:
        """The row is the truth; an event only says when to look at it."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout_seconds
        taken_by = clock() + self.patience_seconds
        with self.events.listening(call.id) as wake:
            while True:
                row = await self._look(call)
                if row is not None and row.ended:
                    return row
                if row is None or row.status is JobStatus.PROCESSING:
                    taken_by = clock() + self.patience_seconds
                left = min(deadline, taken_by) - clock()
                if left <= 0:
                    raise self._late(row)
                await wake.wait(min(left, self.events.patience_seconds))

    async def _look(self, call: EngineCall) -> EngineCall | None:
        """None while the database is away. Raises DeadlineExceeded for a call that was taken away for being late."""
        try:
            return await self.calls.get(call.id)
        except NotFound:
            raise DeadlineExceeded(f"The engine did not finish in {self.timeout_seconds:g} s.") from None
        except Unavailable:
            return None

    async def _answer(self, row: EngineCall) -> Any:
        if row.error is not None:
            raise error_kind(row.error.code)(row.error.detail, retry_after_seconds=row.error.retry_after_seconds)
        try:
            return await asyncio.to_thread(decode, await self.storage.get(row.result_key))
        except CodecError as error:
            raise InternalError(f"The answer of an engine cannot be read: {error}.") from error

    async def _take_away(self, call: EngineCall) -> None:
        """The row first: then whoever has the call learns that nobody wants it, and writes no answer."""
        try:
            await self.calls.delete(call.id)
            await self.events.publish(call.id)
            await self.storage.delete_under(call.folder)
        except VoiceServiceError as error:
            logger.warning("engine call %s is not taken away yet: %s", call.id, error.code)

    def _late(self, row: EngineCall | None) -> VoiceServiceError:
        if row is not None and row.status is JobStatus.PENDING:
            if not self.alive:
                return self._nobody()
            detail = f"All workers were busy for {self.patience_seconds:g} s. Try again."
            return Overloaded(detail, retry_after_seconds=self.patience_seconds)
        return DeadlineExceeded(f"The engine did not finish in {self.timeout_seconds:g} s.")

    def _nobody(self) -> EngineUnavailable:
        return EngineUnavailable("No worker is there. Try again.", retry_after_seconds=self.patience_seconds)


def _packed(method: str, args: tuple[object, ...]) -> bytes:
    """The arguments, and for the worker's log whose request it is. Raises InternalError."""
    try:
        trace = current_trace.get()
        return encode(((trace.request_id, trace.traceparent) if trace else None, args))
    except CodecError as error:
        raise InternalError(f"The arguments of {method} cannot cross to a worker: {error}.") from error


@dataclass(eq=False)
class CallRunner(LeasedRunner[EngineCall, None]):
    """`methods`: what may be called, by name. An answer lies in storage before the row says that there is one."""

    noun = "engine call"
    rows: CallRepository
    storage: Storage
    methods: Mapping[str, Callable[..., Awaitable[Any]]]

    async def run(self, row: EngineCall) -> None:
        """As for any row; another worker hears at once of a call that goes back in line."""
        try:
            with working_for(None):
                await super().run(row)
        except asyncio.CancelledError:
            await self.events.publish(WAITING)
            raise

    async def _attempt(self, row: EngineCall) -> None:
        method = self.methods.get(row.method)
        if method is None:
            raise InternalError(f"No engine of this worker has the method {row.method}.")
        current_user.set(row.user_id)
        trace, arguments = await asyncio.to_thread(decode, await self.storage.get(row.arguments_key))
        request = Trace(*trace) if trace else None
        with working_for(request), span_of(self.noun, request):
            logger.info("engine call %s begins, attempt %d: %s", row.id, row.attempts, row.method)
            answer = await asyncio.to_thread(encode, await method(*arguments))
        await self.storage.put(row.result_key, answer)

    async def _complete(self, row: EngineCall, result: None) -> bool:
        return await self._finish(replace(row, status=JobStatus.COMPLETED))

    async def _fail(self, row: EngineCall, error: VoiceServiceError) -> bool:
        return await self._finish(replace(row, status=JobStatus.FAILED, error=job_error(error)))

    async def _finish(self, call: EngineCall) -> bool:
        written = await self.rows.finish(replace(call, updated_at=now()))
        if written:
            await self.events.publish(call.id)
        else:  # its caller has left, and erased what there was by then
            await self._drop(call.result_key)
        return written

    async def _drop(self, key: str) -> None:
        try:
            await self.storage.delete(key)
        except Unavailable as error:
            logger.warning("%s is not erased yet: %s", key, error.code)


@dataclass(eq=False)
class CallUpkeep:
    """Sees to calls whose worker or caller is gone. `max_attempts` as for jobs."""

    calls: CallRepository
    events: JobEvents
    storage: Storage
    _: KW_ONLY
    max_attempts: int
    lease_seconds: float

    async def recover(self) -> None:
        """Several processes may do it at the same time. Raises Overloaded, EngineUnavailable."""
        for call_id in await self.calls.requeue_expired(self.max_attempts):
            logger.warning("the worker of engine call %s is gone: the call goes back in line", call_id)
            await self.events.publish(WAITING)
        for call in await self.calls.claim_spent(self.max_attempts, self.lease_seconds):
            logger.error("engine call %s is dead: its worker ended %d times while it ran", call.id, call.attempts)
            detail = f"{call.attempts} workers ended while they did this. Send another recording, or try later."
            error = job_error(EngineUnavailable(detail, retry_after_seconds=self.lease_seconds))
            if await self.calls.finish(replace(call, status=JobStatus.FAILED, error=error, updated_at=now())):
                await self.events.publish(call.id)
        for call in await self.calls.overdue():
            await self.storage.delete_under(call.folder)
            await self.calls.delete(call.id)
            await self.events.publish(call.id)
