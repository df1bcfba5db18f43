"""A job as server-sent events: what of it is done, as it is done.

progress      each new state: `status`, `stage`, `position`, `estimated_wait_seconds`
transcript    each segment as it was heard
translation   each segment in the target language
audio         speech as it is in the answer: 16 bits, 24 kHz, mono, in base64, with its start and, where it begins to
              say something, the text: a sentence or more; of a stored answer, all of it; where `return_base64` asks
              for sound and the answer is WAV. Together they are its samples
restart       the job is begun again: what was told so far does not count
done          the whole answer without its audio
error         the problem, instead of `done`

The id of an event says how much was told with it, so a caller that comes back with `Last-Event-ID` gets what follows
that one, from any process, also from the stored answer. Steps are kept for a minute: what a caller missed for longer
comes when the job has ended.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from src.api import presenters
from src.api.dependencies import Links, Services
from src.api.error_handlers import problem
from src.api.following import Telling, Told, has_sound, stored_steps
from src.domain.errors import VoiceServiceError
from src.domain.jobs import Job, JobStatus, Stage
from src.services.jobs.trail import Sound, Step

MEDIA_TYPE = "text/event-stream"
STREAM_HEADERS = {"X-Accel-Buffering": "no"}
"""nginx would hold events back until its buffer is full."""
_BYTES_PER_SECOND = 2 * 24_000
_DONE = "done"


@dataclass(slots=True)
class Events(Telling):
    """The same as events."""

    with_sound: bool = True
    _state: tuple[JobStatus, Stage | None] | None = None

    def changed(self, job: Job) -> bool:
        before, self._state = self._state, (job.status, job.stage)
        return before != self._state

    def events(self, step: Step) -> Iterator[str]:
        if isinstance(step, Sound) and not self.with_sound:
            return
        new, told = self.new(step), self.told
        if isinstance(new, Sound):
            start, sequence = told.sound / _BYTES_PER_SECOND, told.sequence
            told.sound, told.sequence = told.sound + len(new.pcm), sequence + 1
            members = {"sequence": sequence, "start": start, "text": new.text, "audio": presenters.encode(new.pcm)}
            yield _event("audio", str(told), members)
        elif new is not None:
            for start, end, text in new.segments:
                index = getattr(told, new.kind)
                setattr(told, new.kind, index + 1)
                members = {"index": index, "start": start, "end": end, "text": text}
                yield _event(new.kind, str(told), members)


async def job_events(
    job: Job, services: Services, links: Links, request: Request, last_id: str | None = None
) -> AsyncIterator[str]:
    """Until the job has ended, the caller goes away, or this server ends: then the caller comes back."""
    telling = Events(Told.of(last_id), with_sound=has_sound(job))
    try:
        async for seen in services.jobs.watch(job.id, job.user_id, request.app.state.ending):
            if not isinstance(seen, Job):
                for each in telling.events(seen):
                    yield each
            elif not (seen.ended and last_id == _DONE):
                async for each in _state(seen, telling, services, links):
                    yield each
    except VoiceServiceError as error:
        yield _event("error", "error", problem(error).body(request.scope))


async def _state(job: Job, telling: Events, services: Services, links: Links) -> AsyncIterator[str]:
    if telling.attempt(job):
        yield _event("restart", str(telling.told), {})
    if job.ended:
        async for each in _rest(job, telling, services, links):
            yield each
    elif telling.changed(job):
        yield await _progress(job, telling, services, links)
    else:
        yield ": nothing new\n\n"


async def _progress(job: Job, telling: Events, services: Services, links: Links) -> str:
    forecast = await services.board.forecast(job)
    told = await presenters.job_response(job, services.storage, links, forecast)
    wanted = {"job_id", "status", "stage", "position", "estimated_wait_seconds"}
    return _event("progress", str(telling.told), told.model_dump(mode="json", include=wanted))


async def _rest(job: Job, telling: Events, services: Services, links: Links) -> AsyncIterator[str]:
    """What was not told yet of a job that has ended. Raises the error of one that failed."""
    async for step in stored_steps(job, services):
        for each in telling.events(step):
            yield each
    silent = replace(job, request=replace(job.request, return_base64=False))
    yield _event(_DONE, _DONE, (await presenters.job_response(silent, services.storage, links)).model_dump(mode="json"))


def _event(kind: str, key: str, members: dict[str, Any]) -> str:
    return f"event: {kind}\nid: {key}\ndata: {json.dumps(members)}\n\n"
