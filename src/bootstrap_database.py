"""Settings to the database that they name, and what all who share it agree on."""

from src.adapters.database.audio_ledger import SqlAudioLedger
from src.adapters.database.engine import Database
from src.adapters.storage.private_files import load_or_create_key
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.services.audio_budget import AudioBudget

LIVE_LEASES = 2
"""For so many leases after its last heartbeat a worker is taken to live."""


def open_database(settings: Settings, *, pool_size: int | None = None) -> Database:
    """Raises EngineUnavailable."""
    try:
        return _database(settings, pool_size or settings.database_pool_size)
    except OSError as error:
        raise EngineUnavailable(f"DATABASE_CA_FILE has no certificates: {type(error).__name__}.") from error


def _database(settings: Settings, pool_size: int) -> Database:
    return Database(
        settings.effective_database_url,
        pool_size=pool_size,
        timeout_seconds=settings.database_pool_timeout_seconds,
        connect_seconds=settings.database_connect_timeout_seconds,
        statement_seconds=settings.database_statement_timeout_seconds,
        pseudonym_key=pseudonym_key(settings),
    )


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


def audio_budget(settings: Settings, database: Database) -> AudioBudget | None:
    """None: there is no limit."""
    seconds = settings.rate_limit_audio_seconds_per_day
    return AudioBudget(SqlAudioLedger(database), seconds) if seconds else None


def live_seconds(settings: Settings) -> float:
    return LIVE_LEASES * settings.job_lease_seconds
