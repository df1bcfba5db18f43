"""Speech in, speech out. `translate` makes a job; `services/pipeline.py` tells what happens to it."""

from contextlib import suppress
from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from src.api import presenters
from src.api.dependencies import Caller, LinksDep, ServicesDep, on_behalf_of
from src.api.error_handlers import problems, request_id_of
from src.api.job_events import MEDIA_TYPE, STREAM_HEADERS, job_events
from src.api.requests import JsonRoute, claim_of, decode_audio, unless_gone
from src.api.schemas.jobs import job_ended
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
from src.api.sound_stream import sound_response, wanted_sound
from src.api.waiting import ACCEPTED, Waiting
from src.domain.audio import AudioFormat
from src.domain.jobs import JobRequest
from src.domain.languages import canonical, variant
from src.domain.speech import Hints, Wording
from src.services import on_demand
from src.services.jobs.idempotency import run_once
from src.services.saying import CloneRequest as SayRequest
from src.services.saying import RecordedSpeech

router = APIRouter(prefix="/api/v1/voice", tags=["voice"], route_class=JsonRoute)

_HEARD_AT_ONCE_SECONDS = 30.0
"""Of a recording, one window of the recogniser: heard within any server's limit, and needs no place in the line."""

_SPOKEN_AT_ONCE = 300
"""Characters, about 20 s of speech: that little is spoken within any server's limit, and needs no place in the line."""


@router.post(
    "/translate",
    response_model=TranslateResponse,
    responses={**ACCEPTED, **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 502, 503, 504)},
    callbacks=job_ended.routes,
)
async def translate(
    body: TranslateRequest, caller: Caller, services: ServicesDep, links: LinksDep, waiting: Waiting
) -> TranslateResponse | Response:
    """Translate a spoken message and speak the translation in the same voice.

    Answers when the work is done. With `Prefer: respond-async`, or when it takes longer than the server holds a
    request, or the server ends meanwhile, the answer is 202 with the job as it is, to be fetched at `Location`. Jobs of
    callers who wait are begun before those of callers who do not, unless `priority` says otherwise.

    With `Accept: text/event-stream` the answer is the job's events, as of `/job/{job_id}/events`; who leaves finds the
    job there. With `audio/wav`, `audio/ogg` (Opus) or `audio/mpeg` it is the sound alone, from its first sentence on;
    `Content-Location` names the job, which is cancelled when a caller without an
    `Idempotency-Key` leaves before the end.
    """
    caller = await on_behalf_of(body.user_id, caller, services)
    wanted = _job_request(body)
    services.languages.require_pair(wanted.source_language, canonical(body.target_language))
    if wanted.callback_url is not None:
        services.callbacks.check(wanted.callback_url)
    if wanted.voice_profile_id is not None:
        await services.profiles.require_usable(wanted.voice_profile_id, caller.user_id)
    accept = waiting.request.headers.get("accept", "")
    sound = wanted_sound(accept, wanted)
    told = MEDIA_TYPE in accept
    if watched := told or sound is not None:
        services.jobs.require_watchable(caller.user_id)
    audio = await decode_audio(body.audio)
    wanted = replace(wanted, return_base64=True) if sound else wanted
    job = await waiting.submit(caller, "translate", wanted, audio, body.priority, watched=watched)
    if sound:
        return await sound_response(
            job, sound, sound.media_type, services, waiting.request, caller, kept=waiting.key is not None
        )
    if told:
        events = job_events(job, services, links, waiting.request)
        return StreamingResponse(events, media_type=MEDIA_TYPE, headers=STREAM_HEADERS)
    done = await waiting.answer(job, caller)
    return done if isinstance(done, Response) else await presenters.job_response(done, services.storage, links)


@router.post(
    "/transcribe",
    response_model=TranscribeResponse,
    responses={**ACCEPTED, **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 504)},
)
async def transcribe(
    body: TranscribeRequest, caller: Caller, services: ServicesDep, waiting: Waiting
) -> TranscribeResponse | Response:
    """Speech to text alone, with segments and word times.

    Answers when it is heard. With `Prefer` or an `Idempotency-Key`, and for a recording of more than 30 s, it is a job,
    which is kept as any other: when that takes longer than the server, or the caller, waits, the answer is 202, as of
    `translate`.
    """
    caller = await on_behalf_of(body.user_id, caller, services)
    language, hints = canonical(body.source_language) if body.source_language else None, _hints(body)
    services.on_demand.require_hearable(language, hints)
    audio = await decode_audio(body.audio)
    at_once = waiting.prefer.applied is None and waiting.key is None
    if at_once:
        recorded, request_id = RecordedSpeech(audio, body.audio_format), request_id_of(waiting.request.scope)
        hearing = services.on_demand.transcribe(
            caller.user_id, recorded, language, body.quality, request_id, hints, at_most_seconds=_HEARD_AT_ONCE_SECONDS
        )
        with suppress(on_demand.LongRecording):
            return presenters.transcribed(await unless_gone(waiting.request, hearing))
    wanted = _hearing_request(body, language, hints, audio_counted=at_once)
    done = await waiting.answer(await waiting.submit(caller, "transcribe", wanted, audio), caller)
    return done if isinstance(done, Response) else presenters.transcribed_by_job(done)


@router.post(
    "/clone",
    response_model=CloneResponse,
    responses={**ACCEPTED, **problems(400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 504)},
)
async def clone(
    body: CloneRequest, caller: Caller, services: ServicesDep, links: LinksDep, waiting: Waiting
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
    if waiting.prefer.applied is not None or len(body.text) > _SPOKEN_AT_ONCE:
        await services.on_demand.require_sayable(caller.user_id, wanted)
        job = await waiting.submit(caller, "say", _text_request(body, language), b"".join(recordings))
        done = await waiting.answer(job, caller)
        return done if isinstance(done, Response) else await presenters.spoken_by_job(done, services.storage, links)
    speaking = run_once(
        services.idempotency,
        await claim_of(caller, waiting.key, "clone", body.model_dump(exclude={"reference_audio"}), recordings),
        make=lambda: services.on_demand.clone(caller.user_id, wanted, request_id_of(waiting.request.scope)),
        keep=on_demand.Spoken.facts,
        again=services.on_demand.spoken_before,
    )
    answer = await unless_gone(waiting.request, speaking, goes_on=waiting.key is not None)
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


def _hearing_request(body: TranscribeRequest, language: str | None, hints: Hints, *, audio_counted: bool) -> JobRequest:
    return JobRequest(
        audio_format=body.audio_format,
        target_language=None,
        source_language=language,
        quality=body.quality,
        return_audio_url=False,
        return_base64=False,
        hints=hints,
        audio_counted=audio_counted,
    )


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
            variant(body.target_language), body.options.formality, body.options.glossary_id, body.options.context
        ),
        callback_url=body.callback_url,
        output_format=body.output_format,
        hints=_hints(body),
    )
