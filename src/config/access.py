"""The settings of who may call; `Settings` has them among its own."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, model_validator
from pydantic_settings import BaseSettings

from src.config.values import is_loopback

_MIN_SECRET_BYTES = 32


def _issuer_address(value: str | None) -> str | None:
    """Whoever can change what is fetched from there can make tokens: so only over TLS, or from this machine."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("It is not an address of a web server.") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("It begins with https://.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("It begins with https://; http:// is for loopback addresses only.")
    if parts.username is not None or parts.fragment:
        raise ValueError("It has no user name, no password and no fragment.")
    return value


class AccessSettings(BaseSettings):
    """See `Settings`."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    auth_mode: Literal["off", "jwt"] = "off"
    """off: every caller is the user `local` and may do everything; on loopback addresses only."""
    auth_off_anywhere: bool = False
    """yes: AUTH_MODE=off on other addresses, too: for a service that only a gateway can reach, which asks who calls."""
    jwt_secret: SecretStr | None = None
    """HS256 secret, at least 32 bytes. One of this and the next two."""
    jwt_public_key_file: Path | None = None
    """PEM of the issuer's public key: RSA of at least 2048 bits (RS256), or EC on the curve P-256 (ES256)."""
    jwt_jwks_url: Annotated[str | None, AfterValidator(_issuer_address)] = None
    """https:// address of the issuer's JSON Web Key Set, whose keys may change while the service runs."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    @model_validator(mode="after")
    def _check_who_may_call(self) -> Self:
        if self.auth_mode == "jwt":
            self._check_tokens()
        elif not (self.listens_on_loopback or self.auth_off_anywhere):
            raise ValueError(
                f"AUTH_MODE=off is for loopback addresses only, and HOST is {self.host}: set AUTH_MODE=jwt; or "
                "AUTH_OFF_ANYWHERE=yes, if nobody can reach this service but a gateway that asks who calls."
            )
        return self

    def _check_tokens(self) -> None:
        sources = {
            "JWT_SECRET": self.jwt_secret,
            "JWT_PUBLIC_KEY_FILE": self.jwt_public_key_file,
            "JWT_JWKS_URL": self.jwt_jwks_url,
        }
        named = [name for name, value in sources.items() if value is not None]
        if len(named) != 1:
            found = " and ".join(named) or "none of them"
            raise ValueError(f"AUTH_MODE=jwt needs exactly one of {', '.join(sources)}; there is {found}.")
        if self.jwt_secret is not None:
            _check_secret(self.jwt_secret.get_secret_value())
        if not self.jwt_issuer or not self.jwt_audience:
            raise ValueError("AUTH_MODE=jwt needs JWT_ISSUER and JWT_AUDIENCE.")

    @property
    def listens_on_loopback(self) -> bool:
        return is_loopback(self.host)


def _check_secret(secret: str) -> None:
    if len(secret.encode()) < _MIN_SECRET_BYTES:
        raise ValueError(f"AUTH_MODE=jwt needs JWT_SECRET with at least {_MIN_SECRET_BYTES} bytes.")
    if "-----BEGIN" in secret:
        raise ValueError("JWT_SECRET is a PEM: name the file with the public key in JWT_PUBLIC_KEY_FILE instead.")
