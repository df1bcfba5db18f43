"""What settings say about connections that anybody between may read."""

import logging
from urllib.parse import urlsplit

from src.config.settings import Settings
from src.config.values import is_loopback

logger = logging.getLogger(__name__)


def plain_connections(settings: Settings) -> tuple[str, ...]:
    """A line for each store that is reached unencrypted, or perhaps so, and not on this machine.

    It is for the log of the start. The first is for `/health`, too: audio and voices travel there, perhaps far.
    """
    s3 = settings.s3_endpoint_url if settings.storage == "s3" else None
    found = []
    if s3 and s3.startswith("http://") and _is_far(s3):
        found.append("storage: S3_ENDPOINT_URL begins with http://: audio and voices travel unencrypted")
    if settings.redis_url and _is_far(url := settings.redis_url.get_secret_value()) and url.startswith("redis://"):
        found.append("redis: REDIS_URL begins with redis://: what it keeps travels unencrypted")
    database = settings.effective_database_url
    if database.startswith("postgres") and settings.database_tls in ("off", "prefer") and _is_far(database):
        found.append(f"database: DATABASE_TLS={settings.database_tls}: what people said may travel unencrypted")
    return tuple(found)


def warned_of(settings: Settings) -> tuple[str, ...]:
    """Log them; those that `/health` says."""
    found = plain_connections(settings)
    for line in found:
        logger.warning("%s", line)
    return tuple(line for line in found if line.startswith("storage:"))


def _is_far(url: str) -> bool:
    host = urlsplit(url).hostname
    return host is not None and not is_loopback(host)
