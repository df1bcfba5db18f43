"""What every process begins with: its settings, its umask and its log."""

import logging
import os
import sys

from pydantic import ValidationError

from src.config.settings import Settings
from src.utils.log_lines import JsonLines, TextLines
from src.utils.tracing import OWN_LOGGER, log_uncaught

_TALKATIVE = ("boto3", "botocore", "httpx", "urllib3")
"""They log addresses at info, whole; that of a webhook may hold a secret."""


def load_settings() -> Settings | None:
    """None when one of them is wrong: then standard error says which, and why."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"{name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        return None


def be_private() -> None:
    """What this process and its children make is for this user only."""
    os.umask(0o077)


def configure_logging(level: str, form: str, role: str) -> None:
    """One line per record on standard error. `form` as LOG_FORMAT; `role`, for JSON: api or worker."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(role) if as_json else TextLines())
    own = getattr(logging, level.upper())
    # Libraries' own debugging holds what people said, and what opens doors: rows, headers, bodies.
    logging.basicConfig(level=max(own, logging.INFO), handlers=[handler])
    logging.getLogger(OWN_LOGGER).setLevel(own)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    log_uncaught()
