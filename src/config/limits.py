"""How much one caller may ask for; `Settings` has these among its own."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """See `Settings`."""

    rate_limit_translations_per_minute: int = Field(0, ge=0)
    """Per user. 0: no limit; a service on the internet wants 10."""
    rate_limit_requests_per_minute: int = Field(0, ge=0)
    """Per client address. 0: no limit; a service on the internet wants 100."""
    rate_limit_fallback_share: float = Field(0.25, gt=0, le=1)
    """Of both limits, what each process allows while Redis is away: one over the number of processes."""
