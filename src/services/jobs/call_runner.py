"""Engine calls on the side of the worker, which has the engines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from src.domain.errors import EngineUnavailable, InternalError, Unavailable, VoiceServiceError
from src.domain.identity import Trace, current_user, working_for
from src.domain.jobs import JobStatus, now
from src.domain.leases import WAITING, CallRepository, EngineCall
from src.domain.ports import JobEvents, Storage
from src.services.jobs.ending import job_error
from src.services.jobs.runner import LeasedRunner
from src.utils.codec import decode, encode
from src.utils.spans import span_of

logger = logging.getLogger(__name__)


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
