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

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from src.api import presenters
from src.api.dependencies import Links, Services
from src.api.error_handlers import problem
from src.domain.audio import AnswerFormat
from src.domain.errors import EngineUnavailable, VoiceServiceError
from src.domain.jobs import Job, JobStatus, Stage
from src.services.jobs.trail import Sound, Step, Texts, sounds
from src.utils.audio import pcm_of_wav


@dataclass(slots=True)
class Told:
    """How much of a job a caller has: of its attempt `fence` so many segments and bytes of sound, these in so many
    events.
    """

    fence: int = 0
    transcript: int = 0
    translation: int = 0
    sound: int = 0
    sequence: int = 0

    def __str__(self) -> str:
        return f"{self.fence}-{self.transcript}-{self.translation}-{self.sound}-{self.sequence}"

    @classmethod
    def of(cls, event_id: str | None) -> "Told":
        """Nothing, where the id is none of these."""
        parts = (event_id or "").split("-")
        numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 12]
        return cls(*numbers) if len(numbers) == len(parts) == 5 else cls()

    @property
    def any(self) -> bool:
        return bool(self.transcript or self.translation or self.sound)


@dataclass(slots=True)
class Telling:
    """Of steps that come in the order in which they were done, what the caller does not have yet."""

    told: Told = field(default_factory=Told)
    _seen: Told = field(default_factory=Told)

    def attempt(self, job: Job) -> bool:
        """The job is as it is: of another attempt, and of one that has ended, all steps come now from the first on.
        Whether what was told is of another one.
        """
        same = self.told.fence == job.fence
        restarts = self.told.any and not same
        if not same:
            self.told = Told(job.fence)
        if not same or job.ended:
            self._seen = Told(job.fence)
        return restarts

    def new(self, step: Step) -> Step | None:
        """To be told now: whoever calls it counts that in `told`."""
        kind, size = ("sound", len(step.pcm)) if isinstance(step, Sound) else (step.kind, len(step.segments))
        seen = getattr(self._seen, kind)
        setattr(self._seen, kind, seen + size)
        known = max(0, getattr(self.told, kind) - seen)
        if known >= size:
            return None
        if isinstance(step, Sound):
            return Sound(step.pcm[known:], "" if known else step.text)  # its text was told with its beginning
        return replace(step, segments=step.segments[known:])


async def followed(job: Job, services: Services, ending: asyncio.Event) -> AsyncIterator[Step | Job]:
    """Each step once, as it is done, and at the end the completed job. Raises the error of one that fails, and
    EngineUnavailable when what was told does not hold any more, or the server ends.
    """
    telling = Telling()
    async for seen in services.jobs.watch(job.id, job.user_id, ending):
        if not isinstance(seen, Job):
            if step := _taken(telling, seen):
                yield step
        elif telling.attempt(seen):
            raise EngineUnavailable("The answer is made anew by another worker.", retry_after_seconds=1)
        elif seen.ended:
            async for stored in stored_steps(seen, services):
                if step := _taken(telling, stored):
                    yield step
            yield seen
            return
    raise EngineUnavailable("The server ends.", retry_after_seconds=1)


def _taken(telling: Telling, step: Step) -> Step | None:
    new, told = telling.new(step), telling.told
    if isinstance(new, Sound):
        told.sound += len(new.pcm)
    elif new is not None:
        setattr(told, new.kind, getattr(told, new.kind) + len(new.segments))
    return new


async def stored_steps(job: Job, services: Services) -> AsyncIterator[Step]:
    """All of a job, from its result. Raises the error of one that failed."""
    job.require_completed()
    assert job.result is not None  # noqa: S101 - it is completed
    result = job.result
    said = result.transcript.segments if result.transcript else result.segments
    yield Texts("transcript", tuple((each.start, each.end, each.text) for each in said), result.source_language)
    translated = tuple((each.start, each.end, each.translated_text) for each in result.segments)
    yield Texts("translation", translated, job.request.target_language or "")
    if has_sound(job) and result.audio_key:
        wav = await services.storage.get(result.audio_key)
        for sound in await asyncio.to_thread(lambda: list(sounds(pcm_of_wav(wav)[0], result.translated_text))):
            yield sound


def has_sound(job: Job) -> bool:
    return job.request.return_base64 and job.request.output_format is AnswerFormat.WAV


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
