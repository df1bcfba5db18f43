"""Speech that is sent while it is made: the answer of a translation, or a text."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from src.api.dependencies import Services
from src.api.job_events import STREAM_HEADERS, followed
from src.api.requests import unless_gone
from src.domain.audio import AnswerFormat
from src.domain.callbacks import job_path
from src.domain.errors import NotFound, RequestInvalid
from src.domain.identity import Identity
from src.domain.jobs import Job, JobRequest
from src.services.jobs.trail import Sound
from src.services.safeguards.provenance import SYNTHETIC_COMMENT
from src.utils.concurrency import after
from src.utils.encoding import StreamEncoder

_FORMATS = {kind.media_type: kind for kind in (AnswerFormat.WAV, AnswerFormat.OPUS, AnswerFormat.MP3)}
_FORMATS["audio/*"] = AnswerFormat.WAV


def wanted_sound(accept: str, request: JobRequest) -> AnswerFormat | None:
    """What `Accept` asks for. Raises RequestInvalid where the answer is to be stored in another way than it is made."""
    kinds = (entry.partition(";")[0].strip().lower() for entry in accept.split(","))
    kind = next((_FORMATS[each] for each in kinds if each in _FORMATS), None)
    if kind is not None and request.output_format is not AnswerFormat.WAV:
        raise RequestInvalid("Sound is streamed of answers that are stored as WAV: leave output_format out.")
    return kind


async def sound_response(
    job: Job,
    kind: str,
    media_type: str,
    services: Services,
    request: Request,
    caller: Identity,
    *,
    kept: bool = False,
    wrapped: Callable[[AsyncIterator[bytes]], AsyncIterator[str]] | None = None,
) -> Response:
    """Begun with the first sound. `kind`: of the file, as StreamEncoder takes it; `wrapped`: the file as events.

    Who leaves before the end has no use for the rest: the job is cancelled, unless it is `kept`. Raises the error of a
    job that fails before the first sound.
    """
    file = _file(job, kind, services, request.app.state.ending, kept=kept)
    first = await unless_gone(request, _first(file), goes_on=kept)
    headers = {**STREAM_HEADERS, "Content-Location": job_path(job.id, caller.named)}
    whole = after(first, file)
    return StreamingResponse(wrapped(whole) if wrapped else whole, media_type=media_type, headers=headers)


async def ended(job: Job, services: Services, seconds: float) -> Job:
    """The job when it has ended, or as it is after that time. Who goes away meanwhile has no use for it."""
    seen = job
    try:
        seen = await services.jobs.wait(job.id, seconds)
    finally:
        if not seen.ended:
            await cancelled(job, services)
    return seen


async def cancelled(job: Job, services: Services) -> None:
    with suppress(NotFound):
        await services.jobs.cancel(job.id)


async def _first(file: AsyncGenerator[bytes]) -> bytes:
    try:
        return await anext(file)
    except BaseException:
        await file.aclose()
        raise


async def _file(job: Job, kind: str, services: Services, ending: asyncio.Event, *, kept: bool) -> AsyncGenerator[bytes]:
    encoder, done = None, kept
    try:
        encoder = await asyncio.to_thread(StreamEncoder, kind, SYNTHETIC_COMMENT)
        async for step in followed(job, services, ending):
            if isinstance(step, Sound) and (data := await asyncio.to_thread(encoder.encode, step.pcm)):
                yield data
        done = True
        yield await asyncio.to_thread(encoder.end)
    finally:
        if encoder is not None:
            encoder.close()
        if not done:
            await cancelled(job, services)
