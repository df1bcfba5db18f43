"""Encrypted connections, to callers and to stores; `Settings` has these among its own."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


def _readable(path: Path | None) -> Path | None:
    if path is not None:
        with path.open("rb"):  # the reason of a failure is the operating system's
            pass
    return path


def _file(path: Path | None) -> Path | None:
    try:
        return _readable(path)
    except OSError as error:
        raise ValueError(f"The file cannot be read: {error.strerror}.") from None


PemFile = Annotated[Path | None, AfterValidator(_file)]

_YEAR_SECONDS = 365 * 24 * 3600


class TlsSettings(BaseSettings):
    """See `Settings`. Versions below TLS 1.2 are refused everywhere."""

    tls_certificate_file: PemFile = None
    """PEM of the certificate, and those between it and its authority. None: HTTP, for a proxy that has TLS."""
    tls_private_key_file: PemFile = None
    tls_private_key_password: SecretStr | None = None
    hsts_seconds: int | None = Field(None, ge=0)
    """Strict-Transport-Security of answers. None: a year when TLS_CERTIFICATE_FILE is set, else none. 0: none."""
    database_tls: Literal["off", "prefer", "require", "verify-full"] = "prefer"
    """Of Postgres. prefer: encrypted when the server offers it. require: always, with whatever server. verify-full: its
    certificate is checked, and its name."""
    database_ca_file: PemFile = None
    """PEM of the authorities that verify-full trusts."""
    redis_ca_file: PemFile = None
    """PEM of the authorities that rediss:// trusts. None: the system's."""
    redis_certificate_file: PemFile = None
    """PEM of what this service shows a Redis that asks for a certificate."""
    redis_private_key_file: PemFile = None
    s3_ca_file: PemFile = None
    """PEM of the authorities that an https:// endpoint is checked by. None: those that boto3 has."""

    @property
    def effective_hsts_seconds(self) -> int:
        if self.hsts_seconds is not None:
            return self.hsts_seconds
        return _YEAR_SECONDS if self.tls_certificate_file else 0

    @model_validator(mode="after")
    def _check_tls_files(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_private_key_file is None):
            raise ValueError("TLS_CERTIFICATE_FILE and TLS_PRIVATE_KEY_FILE go together.")
        if (self.redis_certificate_file is None) != (self.redis_private_key_file is None):
            raise ValueError("REDIS_CERTIFICATE_FILE and REDIS_PRIVATE_KEY_FILE go together.")
        if (self.database_tls == "verify-full") != (self.database_ca_file is not None):
            raise ValueError("DATABASE_TLS=verify-full and DATABASE_CA_FILE go together.")
        return self
