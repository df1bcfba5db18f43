"""Every setting of the service. Each is an environment variable of the same name in capitals, or a line in `.env`."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from src.config.callbacks import CallbackSettings
from src.config.consent import ConsentSettings
from src.config.edge import EdgeSettings
from src.config.limits import LimitSettings
from src.config.logs import LogSettings
from src.config.moderation import ModerationSettings
from src.config.provenance import ProvenanceSettings
from src.config.retention import RetentionSettings
from src.config.sealing import SealingSettings
from src.config.tls import TlsSettings
from src.config.values import CommaList, HttpAddress


def _redis_address(value: SecretStr | None) -> SecretStr | None:
    url = "" if value is None else value.get_secret_value()
    if url and not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("It begins with redis://, rediss:// or unix://.")
    try:
        urlsplit(url).port  # noqa: B018 - reading it parses it
    except ValueError:
        raise ValueError("Its port is not a number up to 65535.") from None  # the other message quotes the address
    return value


class Settings(
    CallbackSettings,
    ConsentSettings,
    EdgeSettings,
    LimitSettings,
    LogSettings,
    ModerationSettings,
    ProvenanceSettings,
    RetentionSettings,
    SealingSettings,
    TlsSettings,
    BaseSettings,
):
    """Defaults run the embedded service: no key, no weights, no server, only this machine may call it."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    # --- server
    port: int = Field(8000, ge=0, le=65535)
    """0: any free port."""
    public_base_url: str | None = None
    """Where callers reach this service, for `audio_url`. None: taken from the request."""

    # --- engines
    transcription_engine: Literal["auto", "pocketsphinx", "whisper"] = "auto"
    """auto: the best engine that is there. A named engine never falls back: the start fails with what is missing."""
    translation_engines: CommaList = ["auto"]
    """Ordered, comma-separated: the first that knows the pair is asked, the next when it fails. Of deepl, google,
    libretranslate, apertium; or auto: deepl with DEEPL_API_KEY, libretranslate with LIBRETRANSLATE_URL, then apertium.
    google only when named: it takes what people say to a third party without a contract.
    """
    voice_engine: Literal["auto", "espeak", "xtts"] = "auto"
    """auto: XTTS-v2 when its checkpoint is there and its licence accepted, else espeak."""
    xtts_dir: Path = Path("checkpoints/xtts")
    """The published files of XTTS-v2: config.json, model.pth, vocab.json, mel_stats.pth, speakers_xtts.pth."""
    xtts_slots: int = Field(8, ge=1, le=256)
    """Sentences that XTTS speaks together, of one message or of many. Twice as many calls are with the networks at a
    time; the others wait."""
    coqui_tos_agreed: bool = False
    """1: the Coqui Public Model License (non-commercial use) was read and accepted; XTTS-v2 needs it."""
    whisper_model: str = "base"
    """A published model (tiny … large-v3, turbo), looked for in `whisper_dir`, or a .pt file."""
    whisper_model_high: str | None = None
    """Another one for quality `high`. None: the same."""
    whisper_dir: Path = Path("checkpoints")
    """Folder with the published .pt files, such as base.pt. Nothing is downloaded at start."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where Whisper and XTTS run. auto: cuda when there is one."""
    engine_processes: int = Field(2, ge=1, le=64)
    """Child processes for the decoder and for each embedded engine: about one per core."""

    # --- translation over the network
    deepl_api_key: SecretStr | None = None
    libretranslate_url: HttpAddress | None = None
    libretranslate_api_key: SecretStr | None = None
    """None: the server asks for none."""

    # --- audio
    max_audio_seconds: float = Field(300.0, gt=0)
    """Of decoded samples; the file's header is not asked."""
    min_reference_seconds: float = Field(2.0, ge=0)
    """Speech, after trimming, that a voice profile needs."""

    # --- jobs
    job_concurrency: int | None = Field(None, ge=1)
    """Jobs that run at the same time in this process. None: 16 with Whisper or XTTS, which do many calls for little
    more than one, else 2."""
    workers: Literal["local", "remote"] = "local"
    """local: this process does its work itself. remote: processes that run `python -m src.worker` do all
    that needs the engines that hear and speak; they share its DATABASE_URL (Postgres), REDIS_URL and STORAGE."""
    job_queue_size: int = Field(64, ge=1)
    """Jobs that may wait; above it a request gets 503 `overloaded`."""
    job_lease_seconds: float = Field(15.0, gt=0)
    """A job whose process has not been heard of for so long is done by another. The clock is the database's."""
    job_timeout_seconds: float = Field(600.0, gt=0)
    """A job that runs longer fails with `deadline_exceeded`."""
    sync_timeout_seconds: float = Field(55.0, gt=0)
    """A synchronous call that takes longer gets 202 and the job goes on. Below the usual gateway limit of 60 s."""
    shutdown_grace_seconds: float = Field(12.0, ge=0)
    """At SIGTERM: how long open requests, and after them running jobs, may take; the rest go back in line."""
    result_ttl_seconds: float = Field(7 * 24 * 3600, gt=0)
    """Ended jobs and their audio are deleted after this."""

    # --- state
    data_dir: Path = Path("var")
    """Database, audio and keys of the embedded service."""
    database_url: SecretStr | None = None
    """sqlite+aiosqlite:///… or postgresql+asyncpg://…, as SQLAlchemy writes URLs. None: SQLite in `data_dir`."""
    redis_url: Annotated[SecretStr | None, AfterValidator(_redis_address)] = None
    """redis://, rediss:// (TLS) or unix://. The processes that have it in common share one cache and one count for rate
    limits. None: each process has its own.
    """

    # --- audio and voices in S3
    storage: Literal["local", "s3"] = "local"
    """local: in `data_dir`. s3: in a bucket of Amazon S3 or any server that speaks its protocol."""
    s3_bucket: str | None = None
    s3_prefix: str | None = Field(None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){0,3}$")
    """Everything lies below it. None: at the bucket's root."""
    s3_endpoint_url: HttpAddress | None = None
    """None: Amazon's."""
    s3_public_endpoint_url: HttpAddress | None = None
    """Where callers reach the same server, for `audio_url`. None: at `s3_endpoint_url`."""
    s3_region: str | None = None
    """None: as boto3 finds it."""
    s3_access_key_id: SecretStr | None = None
    s3_secret_access_key: SecretStr | None = None
    """None, both: as boto3 finds them, in AWS_ variables, its files, or the machine's role."""
    cdn_base_url: HttpAddress | None = None
    """A CDN before the bucket's root, for `audio_url`. None: signed addresses of the bucket. Without the key below its
    addresses are not signed and do not expire."""
    cdn_key_pair_id: str | None = None
    cdn_private_key_file: Path | None = None
    """PEM of the RSA key that signs addresses as CloudFront checks them."""

    # --- backups, by scripts/backup.py
    backup_to: str | None = None
    """A folder, or s3://bucket/prefix. None: `backups/` in the storage."""
    backup_keep_days: int = Field(14, ge=0, le=365)
    """A backup that is older is deleted after the next one was made: so long may a deleted voice live on in backups."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "*" in self.cors_origins and (self.auth_mode == "off" or len(self.cors_origins) > 1):
            raise ValueError("CORS_ORIGINS=* stands alone, and needs AUTH_MODE=jwt: else any page may act as the user.")
        return self

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        if self.workers == "remote":
            if self.redis_url is None:
                raise ValueError("WORKERS=remote needs REDIS_URL.")
            if not self.effective_database_url.startswith("postgres"):
                raise ValueError("WORKERS=remote needs a DATABASE_URL of Postgres.")
        return self

    @model_validator(mode="after")
    def _check_storage(self) -> Self:
        if self.storage == "s3" and not self.s3_bucket:
            raise ValueError("STORAGE=s3 needs S3_BUCKET.")
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY go together.")
        if (self.cdn_key_pair_id is None) != (self.cdn_private_key_file is None):
            raise ValueError("CDN_KEY_PAIR_ID and CDN_PRIVATE_KEY_FILE go together.")
        if self.cdn_key_pair_id is not None and self.cdn_base_url is None:
            raise ValueError("CDN_KEY_PAIR_ID needs CDN_BASE_URL.")
        return self

    @cached_property
    def effective_database_url(self) -> str:
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{self.data_dir / 'voice.db'}"
        return self.database_url.get_secret_value()
