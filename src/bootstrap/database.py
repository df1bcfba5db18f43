"""The database that the settings name, and the key of its pseudonyms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.adapters.database.engine import POOL_SIZE, Database
from src.adapters.storage.private_files import load_or_create_key
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable


def open_database(settings: Settings, *, pool_size: int = POOL_SIZE) -> Database:
    """Raises EngineUnavailable."""
    key = pseudonym_key(settings)
    try:
        return Database(settings.effective_database_url, pool_size=pool_size, pseudonym_key=key)
    except OSError as error:
        detail = f"DATABASE_URL: sslrootcert names no file of certificates: {type(error).__name__}."
        raise EngineUnavailable(detail) from error


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """With one connection, closed afterwards. Raises EngineUnavailable."""
    database = open_database(settings, pool_size=1)
    try:
        yield database
    finally:
        await database.close()


def pseudonym_key(settings: Settings) -> bytes:
    """Of the settings, or made once for this machine. Blocks for a moment."""
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.get_secret_value().encode()
    return load_or_create_key(settings.data_dir / "pseudonyms.key")


def pseudonym_notices(settings: Settings) -> tuple[str, ...]:
    """What an operator should know."""
    if settings.workers == "local" or settings.pseudonym_key is not None:
        return ()
    return ("PSEUDONYM_KEY is not set: each process with a DATA_DIR of its own has other pseudonyms for the deleted",)
