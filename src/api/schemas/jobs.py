"""Lists of jobs."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from src.api.schemas.common import JobProblem, Milliseconds, Seconds, Share, example
from src.domain.jobs import JobStatus, Stage


class JobSummary(BaseModel):
    """A job without its sound, its segments and its measurements: `GET /api/v1/voice/job/{job_id}` has all of it.

    What both have is named and meant alike; everything from `original_text` on is null until `status` is `completed`.
    """

    job_id: str
    status: JobStatus
    stage: Annotated[Stage | None, Field(description="The step that runs now.")] = None
    target_language: Annotated[str | None, Field(description="Null of a job of `transcribe`.")]
    target_variant: str | None = None
    source_language: str | None = None
    original_text: str | None = None
    translated_text: str | None = None
    audio_url: Annotated[
        str | None, Field(description="At a signed address that expires. Null when the request asked for none.")
    ] = None
    duration_seconds: Seconds | None = None
    voice_similarity: Share | None = None
    degraded: list[str] = []
    processing_time_ms: Milliseconds | None = None
    error: Annotated[JobProblem | None, Field(description="Set when `status` is `failed`.")] = None
    created_at: datetime


class JobList(BaseModel):
    jobs: Annotated[list[JobSummary], Field(description="Newest first.")]
    next_cursor: Annotated[
        str | None,
        Field(description="Give it as `cursor` for the next page. Null: this is the last one. Its content may change."),
    ] = None

    model_config = example("JobList")


class EndedJob(BaseModel):
    """No transcript and no audio: fetch those, with a token, at `job_path`."""

    job_id: str
    status: Literal["completed", "failed"]
    target_language: str
    source_language: Annotated[str | None, Field(description="As detected, or as it was given.")]
    error_code: Annotated[str | None, Field(description="The `code` of the error, for a job that failed.")]
    job_path: Annotated[
        str, Field(description="With `user_id` in its query, for callers that act for that user; of `local` without.")
    ]


class JobEnded(BaseModel):
    type: Literal["job.completed", "job.failed"]
    timestamp: Annotated[datetime, Field(description="When the job ended.")]
    data: EndedJob

    model_config = example("JobEnded")


job_ended = APIRouter()

WebhookId = Annotated[str, Header(alias="webhook-id", description="The same at each attempt: what was seen is known.")]
WebhookTimestamp = Annotated[int, Header(alias="webhook-timestamp", description="Of this attempt, in Unix seconds.")]
WebhookSignature = Annotated[
    str,
    Header(
        alias="webhook-signature",
        description=(
            "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; while the secret changes two, with a space "
            "between. The libraries of standardwebhooks.com check it."
        ),
    ),
]


@job_ended.post(
    "{$request.body#/callback_url}",
    status_code=204,
    responses={
        "2XX": {"description": "Taken."},
        410: {"description": "Never again for this job."},
        "default": {"description": "Tried again later, redirects too; `Retry-After` is heeded."},
    },
)
def job_has_ended(
    message: JobEnded, webhook_id: WebhookId, webhook_timestamp: WebhookTimestamp, webhook_signature: WebhookSignature
) -> None:
    """A job has ended. Answer 2xx within ten seconds; a message may come twice, with the same `webhook-id`."""
