"""Shapes of what those who look after the service ask and are told."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
