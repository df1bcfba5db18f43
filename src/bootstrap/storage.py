"""Storage of audio and voices, local or S3, and the keys that seal it."""

import asyncio
import base64
import logging
import math
import secrets
import stat
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from src.adapters.storage.local import LocalStorage
from src.adapters.storage.private_files import load_or_create, load_or_create_key, replace_private
from src.adapters.storage.sealed import KEY_BYTES, Keyring, SealedStorage
from src.config.settings import Settings
from src.config.values import PLAIN, is_loopback, storage_keys
from src.domain.errors import EngineUnavailable
from src.domain.ports import Storage
from src.services.deployment.health import Check
from src.services.jobs.ending import INPUT_SECONDS
from src.services.profiles.profiles import CLONES

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from src.adapters.storage.s3_addresses import Addresses
    from src.adapters.storage.s3_calls import S3Options

_URL_SECONDS = 3600
"""An `audio_url` works for so long."""
_DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class StartedStorage:
    """`notices`: what is less than it should be."""

    storage: Storage
    checks: Mapping[str, Check]
    notices: tuple[str, ...]


async def start_storage(settings: Settings, stack: AsyncExitStack) -> StartedStorage:
    """The storage, closed by `stack`, and its checks by name. Raises EngineUnavailable, DeadlineExceeded."""
    keyring = await asyncio.to_thread(load_keyring, settings)
    storage, checks = await (_start_s3(settings, stack) if settings.storage == "s3" else _start_local(settings))
    sealed = SealedStorage(storage, keyring, FETCHED_FROM_BUCKETS if settings.storage == "s3" else ())
    return StartedStorage(sealed, checks, (*notices(keyring), *warned_of(settings)))


async def _start_local(settings: Settings) -> tuple[Storage, Mapping[str, Check]]:
    storage = LocalStorage(
        audio_folder(settings), load_or_create_key(settings.data_dir / "url-signing.key"), _URL_SECONDS
    )
    await storage.start()
    return storage, {}


async def _start_s3(settings: Settings, stack: AsyncExitStack) -> tuple[Storage, Mapping[str, Check]]:
    # here, so that a service on local files does without the memory and time of boto3
    from src.adapters.storage.s3 import S3Storage  # noqa: PLC0415

    storage = S3Storage(s3_options(settings), _URL_SECONDS, await asyncio.to_thread(_addresses, settings))
    stack.push_async_callback(storage.close)
    await storage.start()
    inputs, results = _days(INPUT_SECONDS), _days(settings.result_ttl_seconds)
    kept = dict.fromkeys(("references", "embeddings", "backups"))
    await storage.put_lifecycle({"inputs": inputs, "results": results, CLONES: results, **kept})
    return storage, {"storage": storage.ping}


def s3_options(settings: Settings) -> "S3Options":
    """The bucket that the settings name, and how it is called."""
    from src.adapters.storage.s3_calls import S3Options  # noqa: PLC0415

    key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return S3Options(
        bucket=settings.s3_bucket or "",
        prefix=settings.s3_prefix or "",
        endpoint_url=settings.s3_endpoint_url,
        public_endpoint_url=settings.s3_public_endpoint_url,
        region=settings.s3_region,
        access_key_id=key_id.get_secret_value() if key_id else None,
        secret_access_key=secret.get_secret_value() if secret else None,
    )


def _addresses(settings: Settings) -> "Addresses | None":
    """Those of the CDN that the settings name."""
    from src.adapters.storage.s3_addresses import cloudfront, load_private_key, plain  # noqa: PLC0415

    if settings.cdn_base_url is None:
        return None
    if settings.cdn_private_key_file is None:
        return plain(settings.cdn_base_url)
    try:
        key = load_private_key(settings.cdn_private_key_file)
    except ValueError as error:
        raise EngineUnavailable(f"CDN_PRIVATE_KEY_FILE: {error}") from error
    return cloudfront(settings.cdn_base_url, settings.cdn_key_pair_id or "", key, _URL_SECONDS)


def _days(seconds: float) -> int:
    """Rules of a bucket count whole days."""
    return math.ceil(seconds / _DAY_SECONDS)


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


def plain_connections(settings: Settings) -> tuple[str, ...]:
    """A line for each store that is reached unencrypted, or perhaps so, and not on this machine.

    It is for the log of the start. The first is for `/health`, too: audio and voices travel there, perhaps far.
    """
    s3 = settings.s3_endpoint_url if settings.storage == "s3" else None
    found = []
    if s3 and s3.startswith("http://") and _is_far(s3):
        found.append("storage: S3_ENDPOINT_URL begins with http://: audio and voices travel unencrypted")
    if settings.redis_url and _is_far(url := settings.redis_url.get_secret_value()) and url.startswith("redis://"):
        found.append("redis: REDIS_URL begins with redis://: what it keeps travels unencrypted")
    database = settings.effective_database_url
    if database.startswith("postgres") and _is_far(database) and not _asks_for_tls(database):
        found.append("database: DATABASE_URL has no ssl=require or more: what people said may travel unencrypted")
    return tuple(found)


def warned_of(settings: Settings) -> tuple[str, ...]:
    """Log them; those that `/health` says."""
    found = plain_connections(settings)
    for line in found:
        logger.warning("%s", line)
    return tuple(line for line in found if line.startswith("storage:"))


def _asks_for_tls(url: str) -> bool:
    """In the words that libpq and asyncpg have for it."""
    modes = [value for name, value in parse_qsl(urlsplit(url).query) if name in ("ssl", "sslmode")]
    return bool(modes) and modes[-1] in ("require", "verify-ca", "verify-full")


def _is_far(url: str) -> bool:
    host = urlsplit(url).hostname
    return host is not None and not is_loopback(host)
