"""What can go wrong with a backup, in words for the person at the terminal: what happened, then what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from src.adapters.database import postgres
from src.domain.errors import VoiceServiceError


class BackupError(Exception):
    """It was not done. The text holds no password and nothing that people said."""

    exit_code = 1


class WrongUse(BackupError):
    """A setting or an option is wrong."""

    exit_code = 2


class Damaged(BackupError):
    """What is there is not what the manifest says."""


@contextmanager
def told_of(place: str) -> Iterator[None]:
    """Errors of the storage and of the operating system become BackupError. `place` says whose they are."""
    try:
        yield
    except VoiceServiceError as error:
        raise BackupError(f"{place}: {error.detail}") from error
    except OSError as error:
        raise BackupError(f"{place}: {error.strerror or type(error).__name__}.") from error


@contextmanager
def told_of_database(database: str) -> Iterator[None]:
    """Errors of the database, whose own words may quote a row or a password, become BackupError."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        raise BackupError(f"The database {database}: {_trouble(error)}.") from error


def _trouble(error: DBAPIError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ConnectionError | TimeoutError):
        return error.strerror  # of a file, or of a host's name
    return f"{postgres.trouble_of(error).value} ({postgres.kind_of(error)})"
