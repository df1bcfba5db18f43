"""OpenAI's audio endpoints, for clients that are there: they change their base URL and nothing else.

Voices are profiles. What these endpoints cannot say (jobs, consent, `degraded` of a sound) /api/v1 does; `X-Degraded`
has the sentences of `degraded` as a JSON list where the answer has no place for them.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.formparsers import MultiPartParser

from src.api import presenters
from src.api.dependencies import Caller, Services, ServicesDep
from src.api.error_handlers import request_id_of
from src.api.job_events import followed
from src.api.requests import MAX_AUDIO_BYTES, JsonRoute, unless_gone
from src.api.schemas import openai as schemas
from src.api.sound_stream import cancelled, ended, sound_response
from src.api.subtitles import srt, vtt
from src.domain.audio import AudioFormat
from src.domain.errors import AudioTooLarge, DeadlineExceeded, NotFound
from src.domain.identity import Identity
from src.domain.jobs import Job, JobRequest
from src.domain.languages import canonical, joined
from src.domain.speech import Hints, Quality
from src.services.jobs.trail import Texts
from src.services.on_demand import Heard, LongRecording, Spoken
from src.services.safeguards.provenance import SYNTHETIC_COMMENT
from src.services.saying import CloneRequest, RecordedSpeech
from src.utils.audio import pcm_of_wav, samples_of_wav
from src.utils.encoding import encode_as
from src.utils.text_language import text_language

router = APIRouter(
    prefix="/v1", tags=["openai"], responses={"default": {"model": schemas.OpenAiError, "description": "The error."}}
)
json_router = APIRouter(route_class=JsonRoute)

MultiPartParser.spool_max_size = MAX_AUDIO_BYTES  # a voice is not written to a disk on its way

_MAX_PROMPT = 200
_PIECE_BYTES = 16_384
_HEARD_AT_ONCE_SECONDS, _HEARD_SECONDS = 30.0, 600.0
"""Of a recording, what is heard while the caller waits; how long a caller is let wait for more, as OpenAI's clients
do.
"""
_SPOKEN_AT_ONCE = 300
"""Characters, as of `clone`."""
_SURE_CHARACTERS = 20
"""Of a text whose language is recognised; of shorter ones it is guessed."""
_MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_MODELS = ("whisper-1", "tts-1")


class TranscriptionForm(BaseModel):
    """`model` is any name, as there is one engine; `temperature` and other fields that it has no use for are left
    aside.
    """

    file: UploadFile
    model: str = "whisper-1"
    language: str | None = None
    prompt: str | None = None
    response_format: schemas.TranscriptFormat = "json"
    stream: bool = False
    timestamp_granularities: list[schemas.Granularity] = Field([], alias="timestamp_granularities[]")


@router.post(
    "/audio/transcriptions",
    response_model=schemas.Transcription | schemas.VerboseTranscription,
    responses={200: {"content": {"text/plain": {}, "text/vtt": {}, "text/event-stream": {}}}},
)
async def transcriptions(
    form: Annotated[TranscriptionForm, Form(media_type="multipart/form-data")],
    caller: Caller,
    services: ServicesDep,
    request: Request,
) -> Response:
    """Speech to text. `stream`: the segments as events, each as soon as it is heard. The prompt's last 200 characters
    count.
    """
    try:
        heard = await _hear(form, caller, services, request, at_most_seconds=_HEARD_AT_ONCE_SECONDS)
    except LongRecording:
        job = await _hearing_job(form, caller, services)
        if form.stream:
            return StreamingResponse(_heard_events(job, services, request), media_type="text/event-stream")
        heard = _heard(await unless_gone(request, _completed(job, services)))
    if form.stream:
        return StreamingResponse(_transcript_events(heard), media_type="text/event-stream")
    return _transcript(heard, form.response_format, "transcribe", frozenset(form.timestamp_granularities))


@router.post(
    "/audio/translations",
    response_model=schemas.Transcription | schemas.VerboseTranscription,
    responses={200: {"content": {"text/plain": {}, "text/vtt": {}}}},
)
async def translations(
    form: Annotated[TranscriptionForm, Form(media_type="multipart/form-data")],
    caller: Caller,
    services: ServicesDep,
    request: Request,
) -> Response:
    """Speech to English text."""
    try:
        heard = await _hear(form, caller, services, request, "en", _HEARD_AT_ONCE_SECONDS)
    except LongRecording:
        job = await _hearing_job(form, caller, services)
        heard = _heard(await unless_gone(request, _completed(job, services)))
        translating = services.on_demand.translate(caller.user_id, heard, "en", request_id_of(request.scope))
        heard = await unless_gone(request, translating)
    return _transcript(heard, form.response_format, "translate", frozenset())


@json_router.post(
    "/audio/speech",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in (*sorted(set(_MEDIA_TYPES.values())), "text/event-stream")}}},
)
async def speech(body: schemas.SpeechRequest, caller: Caller, services: ServicesDep, request: Request) -> Response:
    """A text in the voice of a profile. `pcm` is 16 bits, 24 kHz, mono.

    A text of more than 300 characters is sent while it is spoken, from its first sentence on.
    """
    language, notes = await asyncio.to_thread(_language, body, services)
    wanted = CloneRequest(body.input, language, body.voice, Quality.BALANCED, body.speed)
    if len(body.input) > _SPOKEN_AT_ONCE:
        return await _spoken_meanwhile(body, wanted, caller, services, request)
    speaking = services.on_demand.clone(caller.user_id, wanted, request_id_of(request.scope))
    spoken = await unless_gone(request, speaking)
    sound = await asyncio.to_thread(_sound, spoken, body.response_format)
    headers = _degraded((*notes, *spoken.degraded))
    if body.stream_format == "sse":
        return StreamingResponse(_speech_events(_whole(sound)), media_type="text/event-stream", headers=headers)
    return Response(sound, media_type=_MEDIA_TYPES[body.response_format], headers=headers)


@router.get("/audio/voices")
async def voices(caller: Caller, services: ServicesDep) -> schemas.VoiceList:
    """The caller's profiles. Not OpenAI's, but asked for by its clients."""
    stored = await services.profiles.of_user(caller.user_id)
    found = [schemas.Voice(id=each.id, name=each.name, created_at=int(each.created_at.timestamp())) for each in stored]
    return schemas.VoiceList(data=found)


@router.get("/models")
async def models(services: ServicesDep) -> schemas.ModelList:
    """The names under which clients know the two engines."""
    return schemas.ModelList(data=[_model(name, services) for name in _MODELS])


@router.get("/models/{name}")
async def model(name: str, services: ServicesDep) -> schemas.Model:
    """One of them."""
    if name not in _MODELS:
        raise NotFound(f"There is no such model here, but {' and '.join(_MODELS)}.")
    return _model(name, services)


router.include_router(json_router)


def _language(body: schemas.SpeechRequest, services: Services) -> tuple[str, tuple[str, ...]]:
    """Of the text, and what is to be said of that."""
    if body.language:
        return canonical(body.language), ()
    language = text_language(body.input, services.languages.voice.languages) or "en"
    guessed = f"So short a text may be in another language than {language!r}: `language` says which."
    return language, (guessed,) if len(body.input) < _SURE_CHARACTERS else ()


def _model(name: str, services: Services) -> schemas.Model:
    engine = services.languages.transcription if name == "whisper-1" else services.languages.voice
    return schemas.Model(id=name, owned_by=engine.engine)


async def _spoken_meanwhile(
    body: schemas.SpeechRequest, wanted: CloneRequest, caller: Identity, services: Services, request: Request
) -> Response:
    """What is to be said of it is in the job, which `Content-Location` names: it is not known yet."""
    await services.on_demand.require_sayable(caller.user_id, wanted)
    services.jobs.require_watchable(caller.user_id)
    text = JobRequest(
        AudioFormat.WAV, wanted.language, voice_profile_id=body.voice, text=wanted.text, speed=wanted.speed
    )
    job = await services.jobs.submit(caller.user_id, text, b"", watched=True)
    if body.stream_format == "sse":
        return await sound_response(
            job, body.response_format, "text/event-stream", services, request, caller, wrapped=_speech_events
        )
    return await sound_response(
        job, body.response_format, _MEDIA_TYPES[body.response_format], services, request, caller
    )


async def _hearing_job(form: TranscriptionForm, caller: Identity, services: Services) -> Job:
    """Of a recording that was counted when it was found to be long."""
    wanted = JobRequest(
        AudioFormat.AUTO,
        None,
        source_language=_named(form),
        return_audio_url=False,
        return_base64=False,
        hints=_hints(form),
        audio_counted=True,
    )
    return await services.jobs.submit(caller.user_id, wanted, await _audio(form), watched=form.stream)


def _named(form: TranscriptionForm) -> str | None:
    return canonical(form.language) if form.language else None


def _hints(form: TranscriptionForm) -> Hints:
    return Hints(prompt=(form.prompt or "").strip()[-_MAX_PROMPT:])


async def _audio(form: TranscriptionForm) -> bytes:
    await form.file.seek(0)
    data = await form.file.read()
    if len(data) > MAX_AUDIO_BYTES:
        raise AudioTooLarge(f"The audio is {len(data)} bytes long; at most {MAX_AUDIO_BYTES} are accepted.")
    return data


async def _completed(job: Job, services: Services) -> Job:
    job = await ended(job, services, _HEARD_SECONDS)
    if not job.ended:
        raise DeadlineExceeded(f"It was not heard within {_HEARD_SECONDS:g} s. Send less, or try later.")
    job.require_completed()
    return job


async def _heard_events(job: Job, services: Services, request: Request) -> AsyncIterator[str]:
    """As `_transcript_events`, while it is heard."""
    done, first = False, True
    try:
        async for step in followed(job, services, request.app.state.ending):
            if isinstance(step, Texts):
                for _, _, text in step.segments:
                    yield _event("transcript.text.delta", delta=text if first else joined(("", text), step.language))
                    first = False
            elif isinstance(step, Job):
                done = True
                yield _event("transcript.text.done", **presenters.openai_transcription(_heard(step)).model_dump())
    finally:
        if not done:
            await cancelled(job, services)


def _heard(job: Job) -> Heard:
    heard = presenters.heard_by(job)
    assert heard is not None  # noqa: S101 - it is completed
    return heard


async def _hear(
    form: TranscriptionForm,
    caller: Identity,
    services: Services,
    request: Request,
    target: str | None = None,
    at_most_seconds: float = math.inf,
) -> Heard:
    data = await _audio(form)
    hearing = services.on_demand.transcribe(
        caller.user_id,
        RecordedSpeech(data, AudioFormat.AUTO),
        _named(form),
        Quality.BALANCED,
        request_id_of(request.scope),
        _hints(form),
        target,
        at_most_seconds,
    )
    return await unless_gone(request, hearing)


def _transcript(heard: Heard, wanted: schemas.TranscriptFormat, task: str, granularities: frozenset[str]) -> Response:
    transcript = heard.transcript
    headers = _degraded(heard.degraded)
    match wanted:
        case "text":
            return PlainTextResponse(f"{transcript.text}\n", headers=headers)
        case "srt":
            return PlainTextResponse(srt(transcript.segments), headers=headers)
        case "vtt":
            return PlainTextResponse(vtt(transcript.segments), media_type="text/vtt", headers=headers)
        case "verbose_json":
            answer: BaseModel = presenters.openai_verbose(heard, task, granularities)
        case "json":
            answer = presenters.openai_transcription(heard)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


def _degraded(sentences: tuple[str, ...]) -> dict[str, str]:
    return {"X-Degraded": json.dumps(sentences)} if sentences else {}


def _sound(spoken: Spoken, wanted: schemas.SpeechFormat) -> bytes:
    """WAV as it is stored, with all its marks; the others say that they are synthetic in a tag, where they have any."""
    if wanted == "wav":
        return spoken.wav
    if wanted == "pcm":
        return pcm_of_wav(spoken.wav)[0]
    return encode_as(samples_of_wav(spoken.wav), wanted, SYNTHETIC_COMMENT)


def _transcript_events(heard: Heard) -> Iterator[str]:
    done = presenters.openai_transcription(heard)
    rest = done.text
    for segment in heard.transcript.segments:
        ends = rest.find(segment.text) + len(segment.text)
        yield _event("transcript.text.delta", delta=rest[:ends])
        rest = rest[ends:]
    yield _event("transcript.text.done", **done.model_dump())


async def _speech_events(file: AsyncIterator[bytes]) -> AsyncIterator[str]:
    async for data in file:
        for start in range(0, len(data), _PIECE_BYTES):
            yield _event("speech.audio.delta", audio=presenters.encode(data[start : start + _PIECE_BYTES]))
    yield _event("speech.audio.done", usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0})


async def _whole(sound: bytes) -> AsyncIterator[bytes]:
    yield sound


def _event(kind: str, **members: Any) -> str:
    return f"data: {json.dumps({'type': kind, **members})}\n\n"
