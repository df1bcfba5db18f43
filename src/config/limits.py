"""How much one caller may ask for; `Settings` has these among its own."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """See `Settings`."""

    rate_limit_translations_per_minute: int = Field(0, ge=0)
    """Per user. 0: no limit; a service on the internet wants 10."""
    rate_limit_requests_per_minute: int = Field(0, ge=0)
    """Per client address. 0: no limit; a service on the internet wants 100."""
    rate_limit_audio_seconds_per_day: int = Field(0, ge=0)
    """Decoded audio of one user on a UTC day, whatever it is for. 0: no limit; a service on the internet wants 3600."""
    max_concurrent_requests_per_user: int = Field(0, ge=0)
    """Requests with work to do, from their heads to the start of their answers. 0: no limit; on the internet: 8."""
    max_waiting_jobs_per_user: int = Field(0, ge=0)
    """Jobs that wait for a worker, whether or not their caller waits, too. 0: no limit; on the internet: 20."""
    rate_limit_fallback_share: float = Field(0.25, gt=0, le=1)
    """Of the limits per minute and of concurrent requests, what each process allows while Redis is away: one over the
    number of processes."""
