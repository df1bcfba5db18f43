"""The settings of the log; `Settings` has them among its own."""

from typing import Literal

from pydantic_settings import BaseSettings


class LogSettings(BaseSettings):
    """See `Settings`."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """debug: more of the service's own lines; libraries, which would log what they store and send, stay at info."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """json: one object a line. text: for people. auto: text when standard error is a terminal, else json."""
