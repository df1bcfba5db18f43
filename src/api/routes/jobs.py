"""A caller's jobs: a list of them, one of them, and none of it any more."""

import asyncio
import math
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from src.api import cursor as cursors
from src.api import presenters
from src.api.dependencies import LinksDep, Owner, ServicesDep
from src.api.error_handlers import problems
from src.api.job_events import MEDIA_TYPE, STREAM_HEADERS, job_events
from src.api.schemas.jobs import JobList
from src.api.schemas.voice import TranslateResponse
from src.domain.accounts import DeletionKind
from src.domain.jobs import JobStatus

router = APIRouter(prefix="/api/v1/voice", tags=["jobs"])

JobId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Limit = Annotated[int, Query(ge=1, le=100, description="Jobs on a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=cursors.MAX_LENGTH, description="The `next_cursor` of the page before this one."),
    AfterValidator(lambda given: given if given is None else cursors.checked(given)),
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=100, description="The id of the last event that arrived.")
]
Statuses = Annotated[list[JobStatus], Query(description="Only jobs in this state, or in one of several: repeat it.")]

_LINKED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {"description": 'The next page, with `rel="next"` (RFC 8288).', "schema": {"type": "string"}}
        }
    }
}


@router.get("/jobs", responses={**_LINKED, **problems(422, 429)})
async def list_jobs(
    caller: Owner,
    services: ServicesDep,
    links: LinksDep,
    response: Response,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Statuses = [],  # noqa: B006 - pydantic copies it for each request
) -> JobList:
    """The caller's jobs, newest first, a page at a time. Jobs that come or go meanwhile shift no page."""
    after = cursors.decode(cursor) if cursor is not None else None
    page = await services.board.page(caller.user_id, limit, after, frozenset(status))
    # in a thread, as signing a hundred addresses takes a while
    jobs = await asyncio.to_thread(lambda: [presenters.job_summary(job, links) for job in page.jobs])
    following = cursors.encode(page.last) if page.last is not None else None
    if following is not None:
        query = [("limit", str(limit)), *(("status", each) for each in sorted(set(status))), ("cursor", following)]
        query += [("user_id", caller.user_id)] if caller.by is not None else []
        response.headers["Link"] = f'<{links.to("/api/v1/voice/jobs", query)}>; rel="next"'
    return JobList(jobs=jobs, next_cursor=following)


@router.get("/job/{job_id}", responses=problems(404, 422, 429))
@router.get("/translate/{job_id}", responses=problems(404, 422, 429))
async def get_job(
    job_id: JobId, caller: Owner, services: ServicesDep, links: LinksDep, response: Response
) -> TranslateResponse:
    """A job's state; with its place in the queue while it waits, its result when completed, its `error` when failed."""
    job = await services.jobs.get(job_id, caller.user_id)
    if (wait := job.retry_after_seconds()) is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return await presenters.job_response(job, services.storage, links, await services.board.forecast(job))


@router.get(
    "/job/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {MEDIA_TYPE: {}}}, **problems(404, 422, 429)},
)
async def watch_job(
    job_id: JobId,
    caller: Owner,
    services: ServicesDep,
    links: LinksDep,
    request: Request,
    last_event_id: LastEventId = None,
) -> Response:
    """The job as server-sent events: `progress` at each stage; `transcript`, `translation` and `audio` as they are
    done; `done` or `error` at the end. `restart`: what was told so far does not count, as another worker begins anew.

    Each `audio` has 16-bit PCM, 24 kHz, mono; together they are the samples of the answer, where that is WAV.
    """
    services.jobs.require_watchable(caller.user_id)
    job = await services.jobs.get(job_id, caller.user_id)
    events = job_events(job, services, links, request, last_event_id)
    return StreamingResponse(events, media_type=MEDIA_TYPE, headers=STREAM_HEADERS)


@router.delete("/job/{job_id}", status_code=204, responses=problems(404, 422, 429))
async def delete_job(job_id: JobId, caller: Owner, services: ServicesDep) -> None:
    """Cancel a job that has not ended, and delete everything that it stored. From the answer on nobody finds it; files
    and copies are gone within 60 s.
    """
    await services.deletions.request(DeletionKind.JOB, job_id, caller.user_id, caller.user_id)
