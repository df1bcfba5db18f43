"""The settings of what is kept for how long, and of deletions; `Settings` has them among its own."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError("It needs at least 32 characters.")
    return value


class RetentionSettings(BaseSettings):
    """See `Settings`."""

    pseudonym_key: Annotated[SecretStr | None, AfterValidator(_long_enough)] = None
    """Names of the deleted are hashed with it; at least 32 characters, the same for all processes of a service. None: a
    random one, made once and kept in `data_dir`."""
