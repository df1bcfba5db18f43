"""What of a running job is done, for those who watch it, in whatever process they are.

The steps lie in the cache, and only of jobs that are watched: what is lost there is had from the job's result.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from src.domain.jobs import Job
from src.domain.ports import Cache, JobEvents
from src.services.interpreting import Heard, Piece, Translated
from src.utils.audio import encode_pcm
from src.utils.codec import CodecError, decode, encode

_KEPT_SECONDS = 60.0
"""As long as a copy of something deleted may be left."""
_WATCHED_SECONDS = 60.0
WATCH_AGAIN_SECONDS = 20.0
_SOUND_BYTES = 48_000 * 5
"""In one step: 5 s."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Segments (start, end, text), in seconds of the caller's recording, mostly in `language`."""

    kind: Literal["transcript", "translation"]
    segments: tuple[tuple[float, float, str], ...]
    language: str


@dataclass(frozen=True, slots=True)
class Sound:
    """16 bits, 24 kHz, mono. `text`: what it says; empty: goes on with what the sound before it said."""

    pcm: bytes
    text: str = ""


Step = Texts | Sound


@dataclass(frozen=True, slots=True)
class Trails:
    cache: Cache
    events: JobEvents

    def of(self, job: Job) -> "Trail":
        """To be written by the worker that has the job."""
        return Trail(self, job)

    async def watch(self, job_id: str, user_id: str) -> None:
        """From now on steps are kept for a while; say it again every 20 s."""
        await self.cache.set(f"watched:{job_id}", b"1", _WATCHED_SECONDS, user_id)

    async def is_watched(self, job: Job) -> bool:
        return await self.cache.get(f"watched:{job.id}", job.user_id) is not None

    async def read(self, job: Job, number: int) -> Step | None:
        """None: it is not there yet, or no more."""
        packed = await self.cache.get(_key(job, number), job.user_id)
        if packed is None:
            return None
        try:
            kind, content, text = await asyncio.to_thread(decode, packed)
        except (CodecError, ValueError, TypeError):
            return None
        return Sound(content, text) if kind == "sound" else Texts(kind, content, text)

    async def write(self, job: Job, number: int, step: Step) -> None:
        told = ("sound", step.pcm, step.text) if isinstance(step, Sound) else (step.kind, step.segments, step.language)
        await self.cache.set(_key(job, number), await asyncio.to_thread(encode, told), _KEPT_SECONDS, job.user_id)


@dataclass(slots=True)
class Trail:
    """Of one attempt at a job: each has its own fence. What was done before somebody watched is told then."""

    trails: Trails
    job: Job
    _untold: list[Piece] = field(default_factory=list)
    _count: int = 0
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tell(self, piece: Piece) -> None:
        """One after the other: what is heard is told while what was heard before it is spoken."""
        async with self._telling:
            self._untold.append(piece)
            if not await self.trails.is_watched(self.job):
                return
            pieces, self._untold = self._untold, []
            for each in pieces:
                for step in _steps(each):
                    await self.trails.write(self.job, self._count, step)
                    self._count += 1
            await self.trails.events.publish(self.job.id)


def _key(job: Job, number: int) -> str:
    return f"step:{job.id}:{job.fence}:{number}"


def _steps(piece: Piece) -> Iterator[Step]:
    if isinstance(piece, Heard):
        heard = piece.transcript
        yield Texts("transcript", tuple((each.start, each.end, each.text) for each in heard.segments), heard.language)
    elif isinstance(piece, Translated):
        texts = tuple((each.start, each.end, each.translated_text) for each in piece.segments)
        yield Texts("translation", texts, piece.translation.route[-1])
    else:
        yield from sounds(encode_pcm(piece.speech.audio.samples), " ".join(piece.speech.sentences))


def sounds(pcm: bytes, text: str = "") -> Iterator[Sound]:
    for start in range(0, len(pcm), _SOUND_BYTES):
        yield Sound(pcm[start : start + _SOUND_BYTES], "" if start else text)
