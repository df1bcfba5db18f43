"""The answer of a translation as sound, sent while it is made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from src.api.dependencies import Services
from src.api.job_events import STREAM_HEADERS, Telling, Told, stored_steps
from src.api.requests import unless_gone
from src.domain.audio import AnswerFormat
from src.domain.callbacks import job_path
from src.domain.errors import EngineUnavailable, NotFound, RequestInvalid
from src.domain.jobs import Job, JobRequest
from src.services.jobs.trail import Sound, Step
from src.services.safeguards.provenance import SYNTHETIC_COMMENT
from src.utils.encoding import StreamEncoder

_FORMATS = {kind.media_type: kind for kind in (AnswerFormat.WAV, AnswerFormat.OPUS, AnswerFormat.MP3)}


def wanted_sound(accept: str, request: JobRequest) -> AnswerFormat | None:
    """What `Accept` asks for. Raises RequestInvalid where the answer is to be stored in another way than it is made."""
    kinds = (entry.partition(";")[0].strip().lower() for entry in accept.split(","))
    kind = next((_FORMATS[each] for each in kinds if each in _FORMATS), None)
    if kind is not None and request.output_format is not AnswerFormat.WAV:
        raise RequestInvalid("Sound is streamed of answers that are stored as WAV: leave output_format out.")
    return kind


async def sound_response(job: Job, kind: AnswerFormat, services: Services, request: Request, *, kept: bool) -> Response:
    """Begun with the first sound. Raises the error of a job that fails before.

    Who leaves before the end has no use for the rest: the job is cancelled, unless it is `kept`.
    """
    file = _file(job, kind, services, request.app.state.ending, kept=kept)
    first = await unless_gone(request, _first(file), goes_on=kept)
    headers = {**STREAM_HEADERS, "Content-Location": job_path(job.id, None)}
    return StreamingResponse(_after(first, file), media_type=kind.media_type, headers=headers)


async def _first(file: AsyncGenerator[bytes]) -> bytes:
    try:
        return await anext(file)
    except BaseException:
        await file.aclose()
        raise


async def _after(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for data in rest:
            yield data


async def _file(
    job: Job, kind: AnswerFormat, services: Services, ending: asyncio.Event, *, kept: bool
) -> AsyncGenerator[bytes]:
    encoder, done = await asyncio.to_thread(StreamEncoder, kind, SYNTHETIC_COMMENT), kept
    try:
        async for pcm in _pcm(job, services, ending):
            if data := await asyncio.to_thread(encoder.encode, pcm):
                yield data
        done = True
        yield await asyncio.to_thread(encoder.end)
    finally:
        if not done:
            with suppress(NotFound):
                await services.jobs.cancel(job.id)


async def _pcm(job: Job, services: Services, ending: asyncio.Event) -> AsyncIterator[bytes]:
    telling = Telling(Told(), with_sound=True)
    async for step in _steps(job, services, ending, telling):
        if isinstance(step, Sound):
            for _, pcm in telling.sounds(step):
                yield pcm


async def _steps(job: Job, services: Services, ending: asyncio.Event, telling: Telling) -> AsyncIterator[Step]:
    async for seen in services.jobs.watch(job.id, job.user_id, ending):
        if not isinstance(seen, Job):
            yield seen
        elif telling.attempt(seen):
            raise EngineUnavailable("The answer is made anew by another worker.", retry_after_seconds=1)
        elif seen.ended:
            async for step in stored_steps(seen, services):
                yield step
            return
    raise EngineUnavailable("The server ends.", retry_after_seconds=1)
