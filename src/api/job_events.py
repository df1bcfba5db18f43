"""A job as server-sent events: how far it is, and when it is done, what came of it in pieces.

progress      each new state: `status`, `stage`, `position`, `estimated_wait_seconds`
transcript    each segment as it was heard
translation   each segment in the target language
audio         half seconds of the answer: 16 bits, 24 kHz, mono, in base64; where `return_base64` asks for it
done          the whole answer without its audio
error         the problem, instead of all but `progress`

Every event has an id. A caller that comes back with `Last-Event-ID` gets what follows that one, from any process.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from src.api import presenters
from src.api.dependencies import Links, Services
from src.api.error_handlers import problem
from src.domain.errors import VoiceServiceError
from src.domain.jobs import Job, TranslatedSegment, TranslationResult
from src.domain.speech import Segment
from src.utils.audio import pcm_of_wav

MEDIA_TYPE = "text/event-stream"
STREAM_HEADERS = {"X-Accel-Buffering": "no"}
"""nginx would hold events back until its buffer is full."""
_PIECE_SECONDS = 0.5


async def job_events(
    job: Job, services: Services, links: Links, request: Request, last_id: str | None = None
) -> AsyncIterator[str]:
    """Until the job has ended, the caller goes away, or this server ends: then the caller comes back."""
    try:
        async for state in services.jobs.watch(job.id, job.user_id, request.app.state.ending):
            if state.ended:
                for event in await _ended(state, services, links, last_id):
                    yield event
            elif (key := f"progress-{state.status}-{state.stage}") != last_id:
                last_id = key
                forecast = await services.board.forecast(state)
                told = await presenters.job_response(state, services.storage, links, forecast)
                wanted = {"job_id", "status", "stage", "position", "estimated_wait_seconds"}
                yield _event("progress", key, told.model_dump(mode="json", include=wanted))
            else:
                yield ": nothing new\n\n"
    except VoiceServiceError as error:
        yield _event("error", "error", problem(error).body(request.scope))


async def _ended(job: Job, services: Services, links: Links, last_id: str | None) -> list[str]:
    """The events of a job that has ended; all of them for a last event that is none of these. Raises the error of a
    job that failed.
    """
    job.require_completed()
    assert job.result is not None  # noqa: S101 - it is completed
    with_sound = job.request.return_base64 and job.result.audio_key
    wav = await services.storage.get(job.result.audio_key) if with_sound else None
    silent = replace(job, request=replace(job.request, return_base64=False))
    done = (await presenters.job_response(silent, services.storage, links)).model_dump(mode="json")
    # in a thread, as five minutes of sound take a while
    return await asyncio.to_thread(_following, last_id, _pieces(job.result, wav, done))


def _following(last_id: str | None, pieces: Iterator[tuple[str, str, dict[str, Any]]]) -> list[str]:
    events = {key: _event(kind, key, members) for kind, key, members in pieces}
    return list(events.values())[list(events).index(last_id) + 1 if last_id in events else 0 :]


def _pieces(
    result: TranslationResult, wav: bytes | None, done: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    said: Sequence[Segment | TranslatedSegment] = result.transcript.segments if result.transcript else result.segments
    for index, heard in enumerate(said):
        members = {"index": index, "start": heard.start, "end": heard.end, "text": heard.text}
        yield "transcript", f"transcript-{index}", members
    for index, segment in enumerate(result.segments):
        members = {"index": index, "start": segment.start, "end": segment.end, "text": segment.translated_text}
        yield "translation", f"translation-{index}", members
    if wav is not None:
        pcm, rate = pcm_of_wav(wav)
        size = 2 * int(rate * _PIECE_SECONDS)
        for index, start in enumerate(range(0, len(pcm), size)):
            members = {
                "sequence": index,
                "start": start / (2 * rate),
                "audio": presenters.encode(pcm[start : start + size]),
            }
            yield "audio", f"audio-{index}", members
    yield "done", "done", done


def _event(kind: str, key: str, members: dict[str, Any]) -> str:
    return f"event: {kind}\nid: {key}\ndata: {json.dumps(members)}\n\n"
