"""What the routes that make jobs share: submit one, hold the response for it, and say 202 where it takes longer."""

import asyncio
import math
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse

from src.api import presenters
from src.api.dependencies import Ending, IdempotencyKey, LinksDep, PreferDep, ServicesDep
from src.api.requests import disconnected, fingerprint_of
from src.api.schemas.voice import TranslateResponse
from src.domain.callbacks import job_path
from src.domain.identity import Identity
from src.domain.jobs import Job, JobRequest, Priority
from src.services.jobs.board import Forecast
from src.utils.concurrency import background_task

_LOOK_AGAIN_SECONDS = (1, 30)
"""The least and the most that Retry-After says of a job that goes on."""

ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": TranslateResponse,
        "description": "The job goes on in the background; `Location` names it.",
        "headers": {
            "Location": {
                "description": "The job's path; with `user_id` in its query for a caller that acts for that user.",
                "schema": {"type": "string"},
            },
            "Preference-Applied": {"schema": {"type": "string"}},
            "Retry-After": {
                "description": "Seconds after which to look: as `estimated_wait_seconds`, from 1 to 30.",
                "schema": {"type": "integer"},
            },
        },
    }
}


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """How the caller of one request waits for its job."""

    services: ServicesDep
    links: LinksDep
    prefer: PreferDep
    request: Request
    ending: Ending
    key: IdempotencyKey = None

    async def submit(
        self,
        caller: Identity,
        operation: str,
        wanted: JobRequest,
        audio: bytes,
        priority: str | None = None,
        *,
        watched: bool = False,
    ) -> Job:
        """`priority`: as the caller names it; None: who waits for the answer goes before who comes back for it.
        `watched`: the answer is told as it is made.

        Raises what `Jobs.submit` and `Jobs.submit_once` raise.
        """
        jobs = self.services.jobs
        turn = Priority[priority.upper()] if priority is not None else _turn(self._patience)
        if self.key is None:
            return await jobs.submit(caller.user_id, wanted, audio, turn, watched=watched)
        fingerprint = await asyncio.to_thread(fingerprint_of, operation, wanted, (audio,))
        return await jobs.submit_once(caller.user_id, self.key, fingerprint, wanted, audio, turn, watched=watched)

    async def answer(self, job: Job, caller: Identity) -> Job | Response:
        """The completed job, or the 202 that says where it goes on. Raises the error of a job that failed."""
        job = await self._ended(job, self._patience)
        if not job.ended:
            return await self._accepted(job, caller)
        job.require_completed()
        return job

    @property
    def _patience(self) -> float:
        """Seconds."""
        return self.prefer.patience(self.services.sync_timeout_seconds)

    async def _ended(self, job: Job, seconds: float) -> Job:
        """Hold the response until the job, or this server, ends. A caller that goes away and will not ask again has no
        use for the answer: its job is cancelled.
        """
        if seconds <= 0 or job.ended:
            return job
        async with (
            background_task(self.services.jobs.wait(job.id, seconds)) as ended,
            background_task(disconnected(self.request)) as gone,
            background_task(self.ending.wait()) as stopping,
        ):
            await asyncio.wait({ended, gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not ended.done() and self.key is None:
                await self.services.jobs.cancel(job.id)
            if stopping.done() and not ended.done():
                return await self.services.jobs.get(job.id, job.user_id)
            return await ended

    async def _accepted(self, job: Job, caller: Identity) -> Response:
        forecast = await self.services.board.forecast(job)
        body = await presenters.job_response(job, self.services.storage, self.links, forecast)
        headers = {"Location": job_path(job.id, caller.named), "Retry-After": str(_look_again_after(forecast))}
        if self.prefer.applied is not None:
            headers["Preference-Applied"] = self.prefer.applied
        return JSONResponse(body.model_dump(mode="json"), status_code=202, headers=headers)


Waiting = Annotated[_Waiting, Depends()]


def _turn(patience: float) -> Priority:
    return Priority.INTERACTIVE if patience > 0 else Priority.BATCH


def _look_again_after(forecast: Forecast | None) -> int:
    """Whole seconds: when the job may have been begun, but not so late that its end is seen late."""
    wait = forecast.wait_seconds if forecast is not None else None
    return max(_LOOK_AGAIN_SECONDS[0], min(math.ceil(wait or 0), _LOOK_AGAIN_SECONDS[1]))
