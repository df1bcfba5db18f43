"""Settings to the storage that they name, started, and what `/health` asks it."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.adapters.storage.local import LocalStorage
from src.adapters.storage.private_files import load_or_create_key
from src.adapters.storage.sealed import SealedStorage
from src.bootstrap_encryption import warned_of
from src.bootstrap_sealing import FETCHED_FROM_BUCKETS, audio_folder, load_keyring, notices
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.domain.ports import Storage
from src.services.health import Check
from src.services.profiles import CLONES

if TYPE_CHECKING:
    from src.adapters.storage.s3_addresses import Addresses
    from src.adapters.storage.s3_calls import S3Options

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
    storage = LocalStorage(audio_folder(settings), _signing_key(settings), settings.audio_url_ttl_seconds)
    await storage.start()
    return storage, {}


async def _start_s3(settings: Settings, stack: AsyncExitStack) -> tuple[Storage, Mapping[str, Check]]:
    # here, so that a service on local files does without the memory and time of boto3
    from src.adapters.storage.s3 import S3Storage  # noqa: PLC0415

    storage = S3Storage(
        s3_options(settings), settings.audio_url_ttl_seconds, await asyncio.to_thread(_addresses, settings)
    )
    stack.push_async_callback(storage.close)
    await storage.start()
    if settings.s3_lifecycle:
        inputs, results = _days(settings.input_ttl_seconds), _days(settings.result_ttl_seconds)
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
        ca_file=str(settings.s3_ca_file) if settings.s3_ca_file else None,
        region=settings.s3_region,
        access_key_id=key_id.get_secret_value() if key_id else None,
        secret_access_key=secret.get_secret_value() if secret else None,
        encryption=settings.s3_encryption,
        kms_key_id=settings.s3_kms_key_id,
        connect_timeout_seconds=settings.s3_connect_timeout_seconds,
        timeout_seconds=settings.s3_timeout_seconds,
        attempts=settings.s3_attempts,
        connections=settings.s3_connections,
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
    return cloudfront(settings.cdn_base_url, settings.cdn_key_pair_id or "", key, settings.audio_url_ttl_seconds)


def _days(seconds: float) -> int:
    """Rules of a bucket count whole days."""
    return math.ceil(seconds / _DAY_SECONDS)


def _signing_key(settings: Settings) -> bytes:
    if settings.url_signing_key is not None:
        return settings.url_signing_key.get_secret_value().encode()
    return load_or_create_key(settings.data_dir / "url-signing.key")
