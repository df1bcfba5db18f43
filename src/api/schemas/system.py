"""Bodies of usage, languages and health."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from src.api.schemas.common import Milliseconds, Seconds


class DailyUsage(BaseModel):
    day: Annotated[str, Field(description="UTC, ISO 8601.", examples=["2026-11-21"])]
    requests: int
    seconds_in: Seconds
    seconds_out: Seconds
    characters: int


class AudioBudget(BaseModel):
    """Every recording that is decoded for the user counts, also of requests that fail afterwards."""

    seconds_per_day: Annotated[int, Field(validation_alias="limit")]
    seconds_left: Annotated[int, Field(validation_alias="remaining", description="Today, by UTC.", ge=0)]
    resets_in_seconds: Annotated[
        int, Field(validation_alias="reset_seconds", description="Until the next day by UTC.", ge=1, le=86_400)
    ]


class UsageResponse(BaseModel):
    user_id: str
    audio_budget: Annotated[AudioBudget | None, Field(description="Null: audio is not limited.")]
    days: list[DailyUsage]


class LanguageItem(BaseModel):
    code: str
    name: str
    native_name: str


class StageLanguages(BaseModel):
    engine: str
    languages: list[str]


class LanguagePair(BaseModel):
    source: str
    target: str
    route: Annotated[list[str], Field(description="Languages that the text passes through, ends included.")]
    engine: str


class LanguagesResponse(BaseModel):
    """What this deployment can do now. Every pair listed works from recording to speech."""

    languages: list[LanguageItem]
    transcription: StageLanguages
    voice: StageLanguages
    pairs: list[LanguagePair]


class HealthCheck(BaseModel):
    status: str
    error: str | None
    milliseconds: Milliseconds


class LiveSessions(BaseModel):
    """Of this process. `accepting`: whether one more is taken now."""

    open: int
    most: int
    accepting: bool


class HealthResponse(BaseModel):
    status: Annotated[str, Field(description="`healthy`, `degraded` (something is missing), or `unhealthy`.")]
    service: str
    version: str
    engines: dict[str, str]
    provenance: Annotated[list[str], Field(description="The marks that every answer gets, and who signs them.")]
    degraded: list[str]
    checks: dict[str, HealthCheck]
    jobs: dict[str, int]
    workers: Annotated[
        dict[str, int] | None,
        Field(description="Worker processes that live, their slots, and how many of these are busy; null without any."),
    ]
    live_sessions: LiveSessions
    uptime_seconds: Annotated[float, AfterValidator(lambda value: round(value, 1))]


UserId = Annotated[
    str, Field(pattern=r"^[^\x00-\x20\x7f]{1,200}$", description="The `sub` of the user's tokens.", examples=["ann"])
]


class RevocationRequest(BaseModel):
    """Either a token or a user."""

    token_id: Annotated[
        str | None, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$", description="The `jti` of one token.")
    ] = None
    user_id: UserId | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"user_id": "ann"}})

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.token_id is None) == (self.user_id is None):
            raise ValueError("give either token_id or user_id")
        return self


class RevocationResponse(BaseModel):
    subject: Annotated[str, Field(examples=["user:ann"])]
    issued_until: Annotated[datetime, Field(description="Tokens issued until then are refused.")]
    expires_at: Annotated[datetime, Field(description="By then all of them have expired by themselves.")]


class AuditEntry(BaseModel):
    at: datetime
    user_id: Annotated[str, Field(description="Whose doing it was.")]
    by: Annotated[str | None, Field(description="The service that acted for the user. Null: nobody but the user.")]
    action: Annotated[str, Field(examples=["profile.save"])]
    subject: Annotated[str, Field(examples=["profile:7f3a"])]
    outcome: Annotated[str, Field(description="`completed`, or the code of the error.")]
    details: dict[str, str]


class AuditList(BaseModel):
    events: Annotated[list[AuditEntry], Field(description="Newest first.")]
    next_cursor: Annotated[
        str | None, Field(description="Give it as `cursor` for the next page. Null: this is the last one.")
    ]
