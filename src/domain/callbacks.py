"""What the service tells a caller's own server when a job has ended, and the ports that carry it there."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from src.domain.identity import Identity
from src.domain.jobs import Job, JobStatus, now

_TYPES = {JobStatus.COMPLETED: "job.completed", JobStatus.FAILED: "job.failed"}


@dataclass(frozen=True, slots=True)
class Callback:
    """A message about one job. It keeps its id and its data through all attempts, of which `attempts` were begun.

    `data` says that the job has ended and how, and never what was said: who receives it may log it, and the receiver
    has a token to fetch the rest with.
    """

    id: str
    job_id: str
    user_id: str
    url: str
    type: str
    data: dict[str, Any]
    attempts: int = 0
    created_at: datetime = field(default_factory=now)

    @property
    def host(self) -> str:
        """All that a log may say of the address: its path and query may hold secrets."""
        return host_of(self.url)


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an attempt ended. `error` is None when the receiver took the message, else a line for the operator.

    `final`: another attempt would end the same way. `retry_after_seconds`: what the receiver asked for.
    """

    status: int | None = None
    error: str | None = None
    final: bool = False
    retry_after_seconds: float | None = None


def host_of(url: str) -> str:
    """The name or address that a URL names, in lower case; empty when it names none."""
    return (urlsplit(url).hostname or "").removesuffix(".")


def job_path(job_id: str, user_id: str | None) -> str:
    """Where a job is fetched. `user_id`: whose it is, for callers that may act for others."""
    named = f"?{urlencode({'user_id': user_id})}" if user_id is not None else ""
    return f"/api/v1/voice/job/{job_id}{named}"


def callback_for(job: Job) -> Callback | None:
    """What its caller is to be told about a job that has ended; None when there is nobody to tell."""
    url = job.request.callback_url
    if url is None or not job.ended:
        return None
    data = {
        "job_id": job.id,
        "status": job.status.value,
        "target_language": job.request.target_language,
        "source_language": job.result.source_language if job.result else job.request.source_language,
        "error_code": job.error.code if job.error else None,
        "job_path": job_path(job.id, None if job.user_id == Identity.local().user_id else job.user_id),
    }
    return Callback(f"msg_{uuid4().hex}", job.id, job.user_id, url, _TYPES[job.status], data)


class CallbackOutbox(Protocol):
    """Callbacks that wait to be sent. Who writes a job's final state puts its callback there in the same transaction.

    Several processes may take from it; each callback is one's alone for `lease_seconds`. What a process says of an
    attempt counts only while no other has begun a later one.
    """

    async def claim(self, lease_seconds: float, without_hosts: Collection[str] = ()) -> Callback | None:
        """The one that has been due for longest, its attempt counted; None when none is due."""

    async def delivered(self, callback: Callback, receipt: Receipt) -> None: ...

    async def retry(self, callback: Callback, receipt: Receipt, in_seconds: float) -> None: ...

    async def give_up(self, callback: Callback, receipt: Receipt) -> None: ...

    async def waiting_since(self, seconds_ago: float, most: int) -> int:
        """How many were made that long ago or longer and still wait; at most `most` are counted."""


class CallbackSender(Protocol):
    async def send(self, callback: Callback) -> Receipt:
        """One attempt, of bounded time. What goes wrong is in the receipt."""
