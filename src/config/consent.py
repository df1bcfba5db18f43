"""The settings of consent to voice profiles; `Settings` has them among its own."""

from typing import Literal

from pydantic_settings import BaseSettings


class ConsentSettings(BaseSettings):
    """See `Settings`."""

    profile_verification: Literal["optional", "required"] = "optional"
    """required: a voice is kept and spoken with only when its speaker was heard saying a challenge."""
