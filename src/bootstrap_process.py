"""What every process of the service begins with: its settings and its log."""

import logging
import sys

from pydantic import ValidationError

from src.api.middleware.request_id import RequestIdFilter
from src.config.settings import Settings


def load_settings() -> Settings | None:
    """None when one of them is wrong: then standard error says which, and why."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"{name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        return None


def configure_logging(level: str) -> None:
    """One line per record on standard error, with the id of the request that it belongs to."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestIdFilter())
    line = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
    logging.basicConfig(level=level.upper(), handlers=[handler], format=line)
    # At debug it logs every value that it stores, and they hold what people said.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    # At info it logs every address that it calls, whole; that of a webhook may hold a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # At debug these log requests with their signatures, and bodies.
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
