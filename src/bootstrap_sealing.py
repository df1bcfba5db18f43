"""Settings to the keys that seal stored files."""

import base64
import logging
import secrets
import stat
from pathlib import Path

from src.adapters.storage.keyring import KEY_BYTES, Keyring
from src.adapters.storage.private_files import load_or_create, replace_private
from src.config.sealing import PLAIN, storage_keys
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.services.profiles import CLONES

logger = logging.getLogger(__name__)

FOLDERS = ("inputs", "results", "references", "embeddings", CLONES)
"""All that the service keeps in its storage; backups beside it hold what lies there, sealed as it is."""
FETCHED_FROM_BUCKETS = frozenset({"results", CLONES})
"""What callers fetch past this service: only the bucket can seal it."""

_NEEDED = (
    "STORAGE=local with a DATABASE_URL of Postgres needs STORAGE_KEYS: scripts/rotate_keys.py --new-key makes one."
)


def key_file(settings: Settings) -> Path:
    """In the form of STORAGE_KEYS: the keys of a service that sets none."""
    return settings.data_dir / "storage.key"


def audio_folder(settings: Settings) -> Path:
    """Of STORAGE=local."""
    return settings.data_dir / "audio"


def make_data_dir(settings: Settings) -> None:
    """For this user only; one that was there keeps its mode, which may be wanted, and the log says so."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stat.S_IMODE(settings.data_dir.stat().st_mode) & 0o077:
        logger.warning("other users of this machine may look into DATA_DIR: chmod 700 %s", settings.data_dir)


def load_keyring(settings: Settings) -> Keyring:
    """Blocks. Raises EngineUnavailable where a key has to be set, or that in DATA_DIR is none."""
    if settings.storage_keys is not None:
        keys, plain = storage_keys(settings.storage_keys.get_secret_value())
        return Keyring(keys, plain=plain)
    if settings.storage == "s3":
        return Keyring(())
    if settings.effective_database_url.startswith("postgres"):
        raise EngineUnavailable(_NEEDED)
    path = key_file(settings)
    try:
        keys, plain = storage_keys(load_or_create(path, lambda: _first_keys(audio_folder(settings))).decode())
    except ValueError as error:
        detail = f"{path} is no file of storage keys: {error} Without the right one nothing stored can be opened."
        raise EngineUnavailable(detail) from None
    return Keyring(keys, plain=plain)


def notices(keyring: Keyring) -> tuple[str, ...]:
    """What `/health` says of them."""
    if not (keyring.plain and keyring.seals):
        return ()
    return ("storage: files that nobody sealed are read as they are, until scripts/rotate_keys.py has sealed them",)


def new_key() -> str:
    """As STORAGE_KEYS takes it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def forget_plain(settings: Settings) -> bool:
    """Have files that nobody sealed refused from the next start on, where the keys are in DATA_DIR. Whether they were
    read until now. Blocks.
    """
    path = key_file(settings)
    if settings.storage_keys is not None or not path.exists():
        return False
    lines = path.read_text().split()
    if PLAIN in lines:
        replace_private(path, "".join(f"{line}\n" for line in lines if line != PLAIN).encode())
    return PLAIN in lines


def _first_keys(audio: Path) -> bytes:
    """One key; and, where an earlier release has left files, that these may be read."""
    left = any(path.is_file() for folder in FOLDERS for path in (audio / folder).rglob("*"))
    return f"{new_key()}\n{PLAIN if left else ''}".strip().encode() + b"\n"
