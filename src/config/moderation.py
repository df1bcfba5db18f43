"""The settings of moderation; `Settings` has them among its own."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, SecretStr, model_validator
from pydantic_settings import BaseSettings

from src.config.callbacks import signing_keys
from src.config.values import CommaList

_ENGINES = ("words", "webhook")


def _engines(value: list[str]) -> list[str]:
    if not value or len(set(value)) < len(value) or not set(value) <= set(_ENGINES):
        raise ValueError(f"It names each once of {', '.join(_ENGINES)}.")
    return value


def _address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("It begins with http:// or https://.")
    return value


def _secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        signing_keys(value.get_secret_value())
    return value


def _user_key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError("It needs at least 32 characters.")
    return value


class ModerationSettings(BaseSettings):
    """See `Settings`."""

    moderation_policy: Literal["off", "flag", "block"] = "off"
    """flag: answers say what was found in the transcript and in the translation. block: a request fails with
    `content_blocked`."""
    moderation_engines: Annotated[CommaList, AfterValidator(_engines)] = ["words"]
    """Ordered, comma-separated: words (lists of words), webhook (a service of the operator's)."""
    moderation_words_dir: Path | None = None
    """Folder with the operator's own lists, `en.txt` and so on, beside those that come with the service."""
    moderation_webhook_url: Annotated[str | None, AfterValidator(_address)] = None
    """Private addresses are as good as public ones here."""
    moderation_webhook_secret: Annotated[SecretStr | None, AfterValidator(_secret)] = None
    """Signs what the webhook is sent, as WEBHOOK_SECRET signs callbacks."""
    moderation_user_key: Annotated[SecretStr | None, AfterValidator(_user_key)] = None
    """The webhook knows each user by HMAC-SHA256 of the user's id with this key, of at least 32 characters. None: it is
    told nothing about users."""

    @model_validator(mode="after")
    def _check_moderation(self) -> Self:
        wanted = self.moderation_policy != "off" and "webhook" in self.moderation_engines
        if wanted and (self.moderation_webhook_url is None or self.moderation_webhook_secret is None):
            raise ValueError("MODERATION_ENGINES=webhook needs MODERATION_WEBHOOK_URL and _SECRET.")
        return self
