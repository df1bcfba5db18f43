"""A job that is followed while it is done: what of it is new to a caller, step by step."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from src.api.dependencies import Services
from src.domain.audio import AnswerFormat
from src.domain.errors import EngineUnavailable
from src.domain.jobs import Job
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
