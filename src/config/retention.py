"""The settings of what is kept for how long, and of deletions; `Settings` has them among its own."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

_DAY_SECONDS = 24 * 3600


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError("It needs at least 32 characters.")
    return value


class RetentionSettings(BaseSettings):
    """See `Settings`."""

    usage_ttl_seconds: float = Field(366 * _DAY_SECONDS, gt=0)
    """What a user used is counted for this long."""
    deletion_settle_seconds: float = Field(40.0, gt=0, le=50)
    """So long after a deletion files and caches are erased a second time: of what was just being written."""
    deletion_ttl_seconds: float = Field(366 * _DAY_SECONDS, gt=0)
    """Hashes of what was deleted are kept this long, to search a restored backup for it: as long as backups are."""
    pseudonym_key: Annotated[SecretStr | None, AfterValidator(_long_enough)] = None
    """Names of the deleted are hashed with it; at least 32 characters, the same for all processes of a service. None: a
    random one, made once and kept in `data_dir`."""
