"""How much one caller may ask for; `Settings` has these among its own."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from src.config.access import AccessSettings


def _where_tokens_are_asked_for(limit: int) -> Callable[[dict[str, Any]], int]:
    """The default: whoever runs it for themselves has no limit, 0."""
    return lambda settings: limit if settings.get("auth_mode") == "jwt" else 0


class LimitSettings(AccessSettings):
    """See `Settings`. 0: no limit."""

    rate_limit_translations_per_minute: int = Field(default_factory=_where_tokens_are_asked_for(10), ge=0)
    """Per user."""
    rate_limit_requests_per_minute: int = Field(default_factory=_where_tokens_are_asked_for(100), ge=0)
    """Per client address."""
    rate_limit_audio_seconds_per_day: int = Field(default_factory=_where_tokens_are_asked_for(3600), ge=0)
    """Decoded audio of one user on a UTC day, whatever it is for. Workers decode, too, and ask for no tokens."""
    max_concurrent_requests_per_user: int = Field(default_factory=_where_tokens_are_asked_for(8), ge=0)
    """Requests with work to do, from their heads to the start of their answers."""
    max_waiting_jobs_per_user: int = Field(default_factory=_where_tokens_are_asked_for(20), ge=0)
    """Jobs that wait for a worker, whether or not their caller waits, too."""
