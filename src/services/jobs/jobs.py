"""Translation jobs as their callers see them: accepted once, waited for, cancelled.

`runner.py` does them, in this process or in a worker's; `ending.py` sees to those whose worker is gone.
"""

import asyncio
import hashlib
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from uuid import uuid4

from src.domain.errors import IdempotencyConflict, JobCancelled, NotFound, RateLimited, Unavailable
from src.domain.identity import current_trace
from src.domain.jobs import Job, JobRequest, JobStatus, Priority
from src.domain.ports import JobEvents, JobQueue, Storage
from src.domain.repositories import Claim, IdempotencyStore, JobRepository
from src.services.jobs.ending import JobEnding, erase
from src.services.jobs.idempotency import run_once
from src.services.jobs.trail import WATCH_AGAIN_SECONDS, Step, Trails

logger = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
"""How long to wait for a worker to let go of a job. It does within a step of its engine, if it lives."""
_ERASED_SECONDS = 60.0
_WATCH_SECONDS = 0.25
"""How often to look whether a job has come to its next stage, of which no event tells."""
_MOST_WATCHED = 20
_SILENCE_SECONDS = 15.0
"""After which a watcher is told the same again: proxies close connections on which nothing passes."""


@dataclass(eq=False)
class Jobs:
    """`most_waiting` jobs may wait for a worker, `most_waiting_of_user` of each user; None: of all alike."""

    jobs: JobRepository
    queue: JobQueue
    events: JobEvents
    storage: Storage
    idempotency: IdempotencyStore
    ending: JobEnding
    trails: Trails
    _: KW_ONLY
    most_waiting: int
    most_waiting_of_user: int | None = None
    _watchers: Counter[str] = field(default_factory=Counter, init=False)  # by user

    async def submit(
        self,
        user_id: str,
        request: JobRequest,
        audio: bytes,
        priority: Priority = Priority.INTERACTIVE,
        job_id: str | None = None,
        *,
        watched: bool = False,
    ) -> Job:
        """Keep the audio and the job, and put it in line. Raises Overloaded, RateLimited, and then nothing is kept.

        `watched`: somebody follows it from its first step on, by `watch`.
        """
        job_id = job_id or uuid4().hex
        if watched:
            await self.trails.watch(job_id, user_id)
        input_key = f"inputs/{job_id}.{request.audio_format}"
        job = Job(job_id, user_id, request, input_key, priority=priority, trace=current_trace.get())
        try:
            await self.storage.put(job.input_key, audio)
            await self.jobs.add(job, self.most_waiting, self.most_waiting_of_user)
        except BaseException:
            with suppress(Unavailable):  # what is left finds no input, and fails
                await self._erase(job)
            raise
        await self.queue.put(job.id)
        return job

    async def submit_once(
        self,
        user_id: str,
        key: str,
        fingerprint: str,
        request: JobRequest,
        audio: bytes,
        priority: Priority = Priority.INTERACTIVE,
        *,
        watched: bool = False,
    ) -> Job:
        """As `submit`, but a repeated Idempotency-Key gets the first job. Raises IdempotencyConflict,
        IdempotencyMismatch, and NotFound when that job was deleted.

        The job's id comes from the key: a job that was stored, and its caller not told so, is found again.
        """
        job_id = hashlib.sha256(repr((user_id, key, fingerprint)).encode()).hexdigest()[:32]

        async def make() -> Job:
            with suppress(NotFound):
                return await self.jobs.get(job_id, user_id)
            if await self.jobs.is_erased(job_id):
                detail = "What this Idempotency-Key made is being erased. Send the request again in a minute."
                raise IdempotencyConflict(detail, retry_after_seconds=_ERASED_SECONDS)
            return await self.submit(user_id, request, audio, priority, job_id, watched=watched)

        return await run_once(
            self.idempotency,
            Claim(user_id, key, fingerprint),
            make=make,
            keep=lambda job: job.id,
            again=lambda job_id: self.jobs.get(job_id, user_id),
        )

    async def get(self, job_id: str, user_id: str) -> Job:
        """Raises NotFound, also for another user's job."""
        return await self.jobs.get(job_id, user_id)

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after `seconds`. Raises NotFound when it is deleted meanwhile."""
        job = await self._until_ended(job_id, seconds)
        if not job.ended:
            logger.info("job %s goes on after its caller's wait", job_id)
        return job

    async def watch(self, job_id: str, user_id: str, ending: asyncio.Event) -> AsyncIterator[Job | Step]:
        """The job now, each time that it has another state, and every 15 s, until it, or this server, ends; and what
        of it is done, as it comes: of a job that is begun again, all of it again. Raises NotFound, and RateLimited for
        a user who watches 20 jobs here.
        """
        clock = asyncio.get_running_loop().time
        told, told_at, watched_at = None, clock(), -math.inf
        fence, steps = 0, 0
        with self._watching(user_id), self.events.listening(job_id) as wake:
            while not ending.is_set():
                if clock() >= watched_at + WATCH_AGAIN_SECONDS:
                    watched_at = clock()
                    await self.trails.watch(job_id, user_id)
                job = await self.jobs.get(job_id, user_id)
                state = (job.status, job.stage, job.fence)
                if state != told or clock() >= told_at + _SILENCE_SECONDS:
                    told, told_at = state, clock()
                    yield job
                if job.ended:
                    return
                if job.fence != fence:
                    fence, steps = job.fence, 0
                while (step := await self.trails.read(job, steps)) is not None:
                    steps, told_at = steps + 1, clock()
                    yield step
                await wake.wait(min(_WATCH_SECONDS, self.events.patience_seconds))

    def require_watchable(self, user_id: str) -> None:
        """Raises RateLimited for a user who watches as many jobs here as one may."""
        if self._watchers[user_id] >= _MOST_WATCHED:
            raise RateLimited(f"You watch {_MOST_WATCHED} jobs. Wait until one of them has ended.")

    @contextmanager
    def _watching(self, user_id: str) -> Iterator[None]:
        self.require_watchable(user_id)
        self._watchers[user_id] += 1
        try:
            yield
        finally:
            self._watchers[user_id] -= 1
            if not self._watchers[user_id]:
                del self._watchers[user_id]

    async def cancel(self, job_id: str) -> None:
        """Stop the job if it has not ended: the engine stops, and the job fails with `cancelled`.

        Raises NotFound when it is deleted meanwhile.
        """
        await self.jobs.request_cancel(job_id)
        job = await self.jobs.get(job_id)
        if job.status is JobStatus.PENDING:
            await self.ending.fail(job, JobCancelled("The caller cancelled the job before it was begun."))
        elif not job.ended:
            await self.events.publish(job_id)
        await self._until_ended(job_id, _CANCEL_SECONDS)

    async def _until_ended(self, job_id: str, seconds: float) -> Job:
        """The row is the truth; an event only says when to look at it.

        Raises Overloaded, EngineUnavailable when the database is away at the end of that time; until then it may be.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        with self.events.listening(job_id) as wake:
            while True:
                left = deadline - clock()
                try:
                    job = await self.jobs.get(job_id)
                except Unavailable:
                    if left <= 0:
                        raise
                else:
                    if job.ended or left <= 0:
                        return job
                await wake.wait(min(left, self.events.patience_seconds))

    async def _erase(self, job: Job) -> None:
        await erase(job.id, job.input_key, self.jobs, self.storage)
