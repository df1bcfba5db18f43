"""Lists of jobs."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from src.api.schemas.common import JobProblem, Milliseconds, Seconds, Share
from src.api.schemas.examples import example
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
