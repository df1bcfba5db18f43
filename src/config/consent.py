"""The settings of consent to voice profiles; `Settings` has them among its own."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ConsentSettings(BaseSettings):
    """See `Settings`."""

    profile_verification: Literal["optional", "required"] = "optional"
    """required: a voice is kept and spoken with only when its speaker was heard saying a challenge."""
    challenge_ttl_seconds: float = Field(300.0, gt=0, le=3600)
    """A challenge that is not answered by then cannot be."""
    challenges_per_user: int = Field(5, ge=1, le=1000)
    """In that time, answered ones counted."""
    challenge_max_word_error_rate: float = Field(0.3, ge=0, lt=1)
    """Of the words of a challenge, how many may be heard otherwise."""
    challenge_min_similarity: float = Field(0.8, gt=0, le=1)
    """Cosine of the speaker embeddings of a challenge and each part of the references."""
