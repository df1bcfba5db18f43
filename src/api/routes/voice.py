"""Speech in, speech out. `translate` makes a job; `services/pipeline.py` tells what happens to it."""

import asyncio
import math
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from src.api import presenters
from src.api.dependencies import (
    Caller,
    Ending,
    IdempotencyKey,
    Links,
    LinksDep,
    PreferDep,
    Services,
    ServicesDep,
    on_behalf_of,
)
from src.api.error_handlers import problems, request_id_of
from src.api.job_events import MEDIA_TYPE, STREAM_HEADERS, job_events
from src.api.requests import JsonRoute, claim_of, decode_audio, disconnected, fingerprint_of, unless_gone
from src.api.schemas.callbacks import job_ended
from src.api.schemas.provenance import DetectRequest, DetectResponse
from src.api.schemas.voice import (
    CloneRequest,
    CloneResponse,
    Listening,
    TranscribeRequest,
    TranscribeResponse,
    TranslateRequest,
    TranslateResponse,
)
from src.domain.audio import AudioFormat
from src.domain.callbacks import job_path
from src.domain.errors import error_kind
from src.domain.identity import Identity
from src.domain.jobs import Job, JobRequest, Priority
from src.domain.languages import canonical, variant
from src.domain.speech import Hints, Wording
from src.services import on_demand
from src.services.jobs.board import Forecast
from src.services.jobs.idempotency import run_once
from src.services.saying import CloneRequest as SayRequest
from src.services.saying import RecordedSpeech
from src.utils.concurrency import background_task

router = APIRouter(prefix="/api/v1/voice", tags=["voice"], route_class=JsonRoute)

_LOOK_AGAIN_SECONDS = (1, 30)
"""The least and the most that Retry-After says of a job that goes on."""

_SPOKEN_AT_ONCE = 300
"""Characters, about 20 s of speech: that little is spoken within any server's limit, and needs no place in the line."""

_ACCEPTED: dict[int | str, dict[str, Any]] = {
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


@router.post(
    "/translate",
    response_model=TranslateResponse,
    responses={**_ACCEPTED, **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504)},
    callbacks=job_ended.routes,
)
async def translate(
    body: TranslateRequest,
    caller: Caller,
    services: ServicesDep,
    links: LinksDep,
    prefer: PreferDep,
    request: Request,
    ending: Ending,
    idempotency_key: IdempotencyKey = None,
) -> TranslateResponse | Response:
    """Translate a spoken message and speak the translation in the same voice.

    Answers when the work is done. With `Prefer: respond-async`, or when it takes longer than the server holds a
    request, or the server ends meanwhile, the answer is 202 with the job as it is, to be fetched at `Location`. Jobs of
    callers who wait are begun before those of callers who do not, unless `priority` says otherwise.

    With `Accept: text/event-stream` the answer is the job's events, as of `/job/{job_id}/events`; who leaves finds the
    job there.
    """
    caller = await on_behalf_of(body.user_id, caller, services)
    wanted = _job_request(body)
    services.languages.require_pair(wanted.source_language, wanted.target_language)
    if wanted.callback_url is not None:
        services.callbacks.check(wanted.callback_url)
    if wanted.voice_profile_id is not None:
        await services.profiles.require_usable(wanted.voice_profile_id, caller.user_id)
    audio = await decode_audio(body.audio)

    patience = prefer.patience(services.sync_timeout_seconds)
    priority = _priority(body.priority, patience)
    job = await _submit(services, caller, idempotency_key, "translate", wanted, audio, priority)

    if MEDIA_TYPE in request.headers.get("accept", ""):
        events = job_events(job, services, links, request)
        return StreamingResponse(events, media_type=MEDIA_TYPE, headers=STREAM_HEADERS)
    job = await _wait(job, patience, services, request, ending, cancel_when_gone=idempotency_key is None)
    if not job.ended:
        return await _accepted(job, caller, services, links, prefer.applied)
    return await presenters.job_response(_completed(job), services.storage, links)


@router.post("/transcribe", responses=problems(400, 403, 408, 413, 415, 422, 429, 503, 504))
async def transcribe(
    body: TranscribeRequest, caller: Caller, services: ServicesDep, request: Request
) -> TranscribeResponse:
    """Speech to text alone, with segments and word times."""
    caller = await on_behalf_of(body.user_id, caller, services)
    language = canonical(body.source_language) if body.source_language else None
    recorded = RecordedSpeech(await decode_audio(body.audio), body.audio_format)
    hearing = services.on_demand.transcribe(
        caller.user_id, recorded, language, body.quality, request_id_of(request.scope), _hints(body)
    )
    return presenters.transcribed(await unless_gone(request, hearing))


@router.post(
    "/clone",
    response_model=CloneResponse,
    responses={**_ACCEPTED, **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 504)},
)
async def clone(
    body: CloneRequest,
    caller: Caller,
    services: ServicesDep,
    links: LinksDep,
    prefer: PreferDep,
    request: Request,
    ending: Ending,
    idempotency_key: IdempotencyKey = None,
) -> CloneResponse | Response:
    """Speak a text in the voice of a reference recording or of a stored profile.

    Answers when it is spoken. With `Prefer`, and for a text of more than 300 characters, it is a job: when that takes
    longer than the server, or the caller, waits, the answer is 202, as of `translate`.
    """
    caller = await on_behalf_of(body.user_id, caller, services)
    language = canonical(body.target_language)
    voice: RecordedSpeech | str = body.voice_profile_id or ""
    if body.reference_audio is not None:
        voice = RecordedSpeech(await decode_audio(body.reference_audio), body.audio_format)
    wanted = SayRequest(body.text, language, voice, body.quality)
    recordings = () if isinstance(voice, str) else (voice.data,)
    if prefer.applied is not None or len(body.text) > _SPOKEN_AT_ONCE:
        await services.on_demand.require_sayable(caller.user_id, wanted)
        patience = prefer.patience(services.sync_timeout_seconds)
        saying, priority = _text_request(body, language), _priority(None, patience)
        job = await _submit(services, caller, idempotency_key, "say", saying, b"".join(recordings), priority)
        job = await _wait(job, patience, services, request, ending, cancel_when_gone=idempotency_key is None)
        if not job.ended:
            return await _accepted(job, caller, services, links, prefer.applied)
        return await presenters.spoken_by_job(_completed(job), services.storage, links)
    speaking = run_once(
        services.idempotency,
        await claim_of(caller, idempotency_key, "clone", body.model_dump(exclude={"reference_audio"}), recordings),
        make=lambda: services.on_demand.clone(caller.user_id, wanted, request_id_of(request.scope)),
        keep=on_demand.Spoken.facts,
        again=services.on_demand.spoken_before,
    )
    answer = await unless_gone(request, speaking, goes_on=idempotency_key is not None)
    return presenters.spoken(answer, body, language, links)


@router.post("/detect", responses=problems(400, 413, 415, 422, 429, 503, 504))
async def detect(body: DetectRequest, caller: Caller, services: ServicesDep, request: Request) -> DetectResponse:
    """Look for marks that say that speech is synthetic: a C2PA manifest, RIFF INFO fields, and, where this deployment
    has a detector, a watermark.

    Nothing that the file names is fetched. A file without marks may be synthetic all the same.
    """
    recorded = RecordedSpeech(await decode_audio(body.audio), body.audio_format)
    return presenters.detected(await unless_gone(request, services.on_demand.detect(caller.user_id, recorded)))


def _hints(body: Listening) -> Hints:
    candidates = dict.fromkeys(canonical(tag) for tag in body.source_languages or ())
    return Hints(tuple(candidates), (body.prompt or "").strip())


def _text_request(body: CloneRequest, language: str) -> JobRequest:
    return JobRequest(
        audio_format=body.audio_format,
        target_language=language,
        voice_profile_id=body.voice_profile_id,
        quality=body.quality,
        return_audio_url=body.return_audio_url,
        return_base64=body.return_base64,
        text=body.text,
    )


def _job_request(body: TranslateRequest) -> JobRequest:
    return JobRequest(
        audio_format=AudioFormat(body.audio_format),
        target_language=canonical(body.target_language),
        source_language=canonical(body.source_language) if body.source_language else None,
        voice_profile_id=body.voice_profile_id,
        quality=body.options.quality,
        preserve_emotion=body.options.preserve_emotion,
        return_audio_url=body.options.return_audio_url,
        return_base64=body.options.return_base64,
        wording=Wording(
            variant(body.target_language),
            body.options.formality,
            body.options.glossary_id,
            body.options.context,
        ),
        callback_url=body.callback_url,
        hints=_hints(body),
    )


async def _submit(
    services: Services,
    caller: Identity,
    key: str | None,
    operation: str,
    wanted: JobRequest,
    audio: bytes,
    priority: Priority,
) -> Job:
    if key is None:
        return await services.jobs.submit(caller.user_id, wanted, audio, priority)
    fingerprint = await asyncio.to_thread(fingerprint_of, operation, wanted, (audio,))
    return await services.jobs.submit_once(caller.user_id, key, fingerprint, wanted, audio, priority)


def _completed(job: Job) -> Job:
    """Raises the error of one that failed."""
    if job.error is not None:
        raise error_kind(job.error.code)(job.error.detail, retry_after_seconds=job.retry_after_seconds())
    return job


def _priority(asked: str | None, patience: float) -> Priority:
    """Who waits for the answer goes before who comes back for it."""
    if asked is not None:
        return Priority[asked.upper()]
    return Priority.INTERACTIVE if patience > 0 else Priority.BATCH


async def _wait(
    job: Job, seconds: float, services: Services, request: Request, ending: asyncio.Event, *, cancel_when_gone: bool
) -> Job:
    """Hold the response until the job, or this server, ends. A caller that goes away has no use for the answer: its job
    is cancelled.
    """
    if seconds <= 0 or job.ended:
        return job
    async with (
        background_task(services.jobs.wait(job.id, seconds)) as ended,
        background_task(disconnected(request)) as gone,
        background_task(ending.wait()) as stopping,
    ):
        await asyncio.wait({ended, gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not ended.done() and cancel_when_gone:
            await services.jobs.cancel(job.id)
        if stopping.done() and not ended.done():
            return await services.jobs.get(job.id, job.user_id)
        return await ended


async def _accepted(job: Job, caller: Identity, services: Services, links: Links, applied: str | None) -> Response:
    forecast = await services.board.forecast(job)
    body = await presenters.job_response(job, services.storage, links, forecast)
    headers = {
        "Location": job_path(job.id, caller.user_id if caller.by is not None else None),
        "Retry-After": str(_look_again_after(forecast)),
    }
    if applied is not None:
        headers["Preference-Applied"] = applied
    return JSONResponse(body.model_dump(mode="json"), status_code=202, headers=headers)


def _look_again_after(forecast: Forecast | None) -> int:
    """Whole seconds: when the job may have been begun, but not so late that its end is seen late."""
    wait = forecast.wait_seconds if forecast is not None else None
    return max(_LOOK_AGAIN_SECONDS[0], min(math.ceil(wait or 0), _LOOK_AGAIN_SECONDS[1]))
