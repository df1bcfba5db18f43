"""Encrypted connections, to callers and to stores; `Settings` has these among its own."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator
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


class TlsSettings(BaseSettings):
    """See `Settings`. Versions below TLS 1.2 are refused everywhere."""

    tls_certificate_file: PemFile = None
    """PEM of the certificate, and those between it and its authority. None: HTTP, for a proxy that has TLS."""
    tls_private_key_file: PemFile = None

    @model_validator(mode="after")
    def _check_tls_files(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_private_key_file is None):
            raise ValueError("TLS_CERTIFICATE_FILE and TLS_PRIVATE_KEY_FILE go together.")
        return self
