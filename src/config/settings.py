"""Every setting of the service. Each is an environment variable of the same name in capitals, or a line in `.env`.

`scripts/env_example.py` makes `.env.example` from this file: groups, names, docstrings and defaults.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from src.config.values import (
    BaseAddress,
    CommaList,
    HttpAddress,
    IssuerAddress,
    LongSecret,
    ModerationEngines,
    Networks,
    Origins,
    ReadableFile,
    RedisAddress,
    SigningSecret,
    StorageKeys,
    is_loopback,
)

_LEAST_JWT_SECRET_BYTES = 32


def _with_tokens(limit: int) -> Callable[[dict[str, Any]], int]:
    """The default of a limit: who runs the service alone has none, 0."""
    return lambda settings: limit if settings.get("auth_mode") == "jwt" else 0


class Settings(BaseSettings):
    """The defaults run the embedded service: no key, no weights, no other server, and only this machine may call it."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    # --- Server

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs AUTH_MODE=jwt, or AUTH_OFF_ANYWHERE=yes."""
    port: int = Field(8000, ge=0, le=65535)
    """0: any free port."""
    public_base_url: str | None = None
    """Where callers reach the service, for `audio_url`, such as https://voice.example.org. Unset: as the request
    says."""
    trusted_proxies: Networks = []
    """Addresses or networks, comma-separated, whose X-Forwarded-For is believed."""
    cors_origins: Origins = []
    """Origins, comma-separated, whose pages may call from a browser, such as https://app.example.org. Unset: only the
    page of this server. `*`: any, with AUTH_MODE=jwt; browsers send cookies and client certificates to none of them."""

    # --- Who may call

    auth_mode: Literal["off", "jwt"] = "off"
    """off: every caller is the user `local` and may do everything, on loopback only. jwt: callers need tokens, checked
    with exactly one of JWT_SECRET, JWT_PUBLIC_KEY_FILE and JWT_JWKS_URL."""
    auth_off_anywhere: bool = False
    """yes: AUTH_MODE=off on other addresses, too: for a service that only a gateway can reach, which authenticates
    callers."""
    jwt_secret: SecretStr | None = None
    """Secret for HS256, at least 32 bytes, such as from openssl rand -hex 32."""
    jwt_public_key_file: Path | None = None
    """PEM of the issuer's public key: RSA of at least 2048 bits (RS256), or EC on P-256 (ES256)."""
    jwt_jwks_url: IssuerAddress | None = None
    """https:// address of the issuer's JSON Web Key Set, fetched anew every five minutes."""
    jwt_issuer: str | None = None
    """`iss` of tokens. AUTH_MODE=jwt needs it."""
    jwt_audience: str | None = None
    """`aud` of tokens. AUTH_MODE=jwt needs it."""

    # --- Limits. 0: none

    rate_limit_translations_per_minute: int = Field(default_factory=_with_tokens(10), ge=0)
    """Per user. Unset: 10 with AUTH_MODE=jwt, else none."""
    rate_limit_requests_per_minute: int = Field(default_factory=_with_tokens(100), ge=0)
    """Per client address. Unset: 100 with AUTH_MODE=jwt, else none."""
    rate_limit_audio_seconds_per_day: int = Field(default_factory=_with_tokens(3600), ge=0)
    """Decoded audio per user and UTC day. Unset: 3600 with AUTH_MODE=jwt, else none. Workers decode, too, and take no
    tokens: set it for them as for the API."""
    max_concurrent_requests_per_user: int = Field(default_factory=_with_tokens(8), ge=0)
    """Requests in work, until their answers begin; and live translations of one process. Unset: 8 with AUTH_MODE=jwt,
    else none."""
    max_waiting_jobs_per_user: int = Field(default_factory=_with_tokens(20), ge=0)
    """Jobs that wait for a worker. Unset: 20 with AUTH_MODE=jwt, else none."""

    # --- Transcription and voice

    whisper_model: str = "base"
    """A published model (tiny, base, small, medium, each also with .en; large-v3, turbo), or a .pt file."""
    whisper_model_high: str | None = None
    """Another one for quality `high`. Unset: the same."""
    whisper_dir: Path = Path("checkpoints")
    """Folder of the .pt files. scripts/setup brings base, scripts/download_models.py the others; a start, none."""
    voice_engine: Literal["auto", "embedded", "xtts"] = "auto"
    """auto: XTTS-v2 when its checkpoint is there and its licence accepted, else embedded. An engine that is named never
    falls back: the start fails with what is missing."""
    kokoro_dir: Path = Path("checkpoints/kokoro")
    """Folder of Kokoro-82M, which speaks for `embedded`; scripts/setup brings it."""
    xtts_dir: Path = Path("checkpoints/xtts")
    """Folder of XTTS-v2's published files; scripts/download_models.py xtts fills it."""
    xtts_slots: int = Field(8, ge=1, le=256)
    """Sentences that XTTS-v2 speaks together, of one message or of many: more with more GPU memory."""
    coqui_tos_agreed: bool = False
    """1: the Coqui Public Model License (non-commercial use) is read and accepted; XTTS-v2 needs it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where Whisper and XTTS-v2 run. auto: cuda when there is one."""
    engine_processes: int = Field(2, ge=1, le=64)
    """Child processes for the decoder and for each embedded engine: about one per core."""
    max_audio_seconds: float = Field(300.0, gt=0)
    """Longest recording, in decoded samples; the file's header is not believed."""
    min_reference_seconds: float = Field(2.0, ge=0)
    """Speech, after trimming, that a voice profile needs."""

    # --- Translation

    translation_engines: CommaList = ["auto"]
    """In order, comma-separated: the first that knows the pair is asked, the next when it fails. Of deepl, google,
    libretranslate, apertium; or auto: deepl with DEEPL_API_KEY, libretranslate with LIBRETRANSLATE_URL, then apertium.
    google only when named: it takes what people say to a third party without a contract."""
    deepl_api_key: SecretStr | None = None
    """Key from deepl.com; those of the free plan end in `:fx`."""
    libretranslate_url: BaseAddress | None = None
    """A LibreTranslate server, such as http://127.0.0.1:5000."""
    libretranslate_api_key: SecretStr | None = None
    """Unset: the server asks for none."""

    # --- Jobs and workers

    workers: Literal["local", "remote"] = "local"
    """local: this process does its jobs itself. remote: processes of `python -m src.worker` do, and have the engines
    that hear and speak; they share its DATABASE_URL (Postgres), REDIS_URL and STORAGE."""
    job_concurrency: int | None = Field(None, ge=1)
    """Jobs that run at the same time in one process, and live translations. Unset: 16 with Whisper or XTTS-v2, which
    batch, else 2."""
    job_queue_size: int = Field(64, ge=1)
    """Jobs that may wait; above it a request gets 503 `overloaded`."""
    job_lease_seconds: float = Field(15.0, gt=0)
    """A job whose process is silent for so long is claimed by another."""
    job_timeout_seconds: float = Field(600.0, gt=0)
    """A job that runs longer fails with `deadline_exceeded`."""
    sync_timeout_seconds: float = Field(55.0, gt=0)
    """A synchronous call that takes longer gets 202, and its job goes on. Below a gateway's limit, usually 60."""
    shutdown_grace_seconds: float = Field(12.0, ge=0)
    """At SIGTERM: how long open requests, and after them running jobs, may take; other jobs are requeued."""
    result_ttl_seconds: float = Field(7 * 24 * 3600, gt=0)
    """Ended jobs and their audio are deleted after this: a week."""

    # --- Callbacks

    webhook_secret: SigningSecret | None = None
    """Signs callbacks as standardwebhooks.com has it: whsec_ and base64 of 24 to 64 bytes, such as from printf
    'whsec_%s\\n' "$(openssl rand -base64 32)". Two with a space between while it changes. Unset: no `callback_url` is
    accepted."""
    callback_allow_http: bool = False
    """true: a `callback_url` may begin with http://, too."""
    callback_allowed_networks: Networks = []
    """Networks, comma-separated, such as 10.1.0.0/16, that callbacks may go to besides the public internet."""

    # --- State

    data_dir: Path = Path("var")
    """Folder of the embedded service's database, audio and keys."""
    database_url: SecretStr | None = None
    """sqlite+aiosqlite:///file or postgresql+asyncpg://user:password@host/database; with
    ?ssl=verify-full&sslrootcert=FILE over TLS that is checked. Unset: SQLite in DATA_DIR."""
    redis_url: RedisAddress | None = None
    """redis://, rediss:// (TLS; with ?ssl_ca_certs=FILE, ssl_certfile and ssl_keyfile where needed) or unix://.
    Processes that share it share one cache and one count of limits. Unset: each process has its own."""
    pseudonym_key: LongSecret | None = None
    """Names of the deleted are hashed with it; at least 32 characters, the same for all processes. Unset: a random one,
    made once and kept in DATA_DIR."""

    # --- Audio and voices

    storage: Literal["local", "s3"] = "local"
    """local: in DATA_DIR. s3: in a bucket of Amazon S3, or of any server that speaks its protocol."""
    storage_keys: StorageKeys | None = None
    """Seal stored audio and voices (AES-256-GCM): keys from scripts/rotate_keys.py --new-key, comma-separated. The
    first seals, all open; `plain` among them also reads unsealed files. Unset: with STORAGE=local one is made once and
    kept in DATA_DIR (with Postgres the start is refused); with STORAGE=s3 nothing is sealed."""
    s3_bucket: str | None = None
    """It must exist: the service creates none."""
    s3_prefix: str | None = Field(None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){0,3}$")
    """Everything lies below it. Unset: at the bucket's root."""
    s3_endpoint_url: BaseAddress | None = None
    """Such as http://127.0.0.1:9000. Unset: Amazon's. AWS_CA_BUNDLE names the file of its own authorities."""
    s3_public_endpoint_url: BaseAddress | None = None
    """Where callers reach the same server, for `audio_url`. Unset: at S3_ENDPOINT_URL."""
    s3_region: str | None = None
    """Unset: as boto3 finds it."""
    s3_access_key_id: SecretStr | None = None
    """Unset, both: as boto3 finds them, in AWS_ variables, its files, or the machine's role."""
    s3_secret_access_key: SecretStr | None = None
    """Goes with S3_ACCESS_KEY_ID."""
    cdn_base_url: BaseAddress | None = None
    """A CDN whose origin is the bucket's root, for `audio_url`. Unset: signed addresses of the bucket. Without the next
    two its addresses are not signed and do not expire."""
    cdn_key_pair_id: str | None = None
    """Id that CloudFront gave to the public key."""
    cdn_private_key_file: Path | None = None
    """PEM of the RSA key, without a password, that signs addresses as CloudFront checks them."""

    # --- Safeguards

    profile_consent: Literal["optional", "required"] = "optional"
    """required: a voice is kept and spoken with only when the caller says that its speaker agreed. optional: else
    `degraded` says that no consent is on record."""
    profile_verification: Literal["optional", "required"] = "optional"
    """required: a voice is kept and spoken with only when its speaker was heard saying a challenge."""
    moderation_policy: Literal["off", "flag", "block"] = "off"
    """flag: answers say what was found in transcript and translation. block: such a request fails with
    `content_blocked`."""
    moderation_engines: ModerationEngines = ["words"]
    """In order, comma-separated: words (lists of words), webhook (a service of your own)."""
    moderation_words_dir: Path | None = None
    """Folder of your own lists, `en.txt` and so on, beside those that come with the service."""
    moderation_webhook_url: HttpAddress | None = None
    """Where your service takes texts. Private addresses are allowed."""
    moderation_webhook_secret: SigningSecret | None = None
    """Signs what it is sent, as WEBHOOK_SECRET signs callbacks."""
    moderation_user_key: LongSecret | None = None
    """Your service knows each user by HMAC-SHA256 of the user's id with this key, of at least 32 characters. Unset: it
    is told nothing about users."""
    c2pa_certificate_file: Path | None = None
    """PEM of the certificate that signs answers, then those above it. Unset: one made once and kept in DATA_DIR, which
    nobody but this service knows."""
    c2pa_private_key_file: Path | None = None
    """PEM of its key, without a password: EC, Ed25519, or RSA from 2048 bits."""
    c2pa_timestamp_url: BaseAddress | None = None
    """Authority (RFC 3161) that attests when an answer was signed. Unset: the manifest has this machine's time."""
    c2pa_trust_anchors_file: Path | None = None
    """PEM of issuers that /api/v1/voice/detect trusts beside this deployment's own."""
    watermark: Literal["auto", "none", "audioseal"] = "auto"
    """auto: AudioSeal when its weights are there, else none. audioseal: the start fails without them."""
    audioseal_dir: Path = Path("checkpoints/audioseal")
    """Folder of AudioSeal's published files: generator_base.pth, detector_base.pth."""

    # --- TLS to callers, 1.2 or newer

    tls_certificate_file: ReadableFile | None = None
    """PEM of the certificate, and those between it and its authority. Unset: HTTP, for a proxy that has TLS."""
    tls_private_key_file: ReadableFile | None = None
    """PEM of its key, without a password."""

    # --- Logs

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """debug: more of the service's own lines; libraries, which would log what they store and send, stay at info."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """json: one object a line. text: for people. auto: text when standard error is a terminal, else json."""

    # --- Backups, by scripts/backup.py

    backup_to: str | None = None
    """A folder, or s3://bucket/prefix. Unset: `backups/` in the storage."""
    backup_keep_days: int = Field(14, ge=0, le=365)
    """Older backups are deleted after the next one is made: so long a deleted voice may live on in backups."""

    @property
    def listens_on_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def effective_database_url(self) -> str:
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{self.data_dir / 'voice.db'}"
        return self.database_url.get_secret_value()

    @model_validator(mode="after")
    def _check_who_may_call(self) -> Self:
        if self.auth_mode == "jwt":
            self._check_tokens()
        elif not (self.listens_on_loopback or self.auth_off_anywhere):
            raise ValueError(
                f"AUTH_MODE=off is for loopback addresses only, and HOST is {self.host}: set AUTH_MODE=jwt; or "
                "AUTH_OFF_ANYWHERE=yes, if nobody can reach this service but a gateway that authenticates callers."
            )
        if "*" in self.cors_origins and (self.auth_mode == "off" or len(self.cors_origins) > 1):
            raise ValueError("CORS_ORIGINS=* stands alone, and needs AUTH_MODE=jwt: else any page may act as the user.")
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
            _check_jwt_secret(self.jwt_secret.get_secret_value())
        if not self.jwt_issuer or not self.jwt_audience:
            raise ValueError("AUTH_MODE=jwt needs JWT_ISSUER and JWT_AUDIENCE.")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        pairs = (
            ("s3_access_key_id", "s3_secret_access_key"),
            ("cdn_key_pair_id", "cdn_private_key_file"),
            ("c2pa_certificate_file", "c2pa_private_key_file"),
            ("tls_certificate_file", "tls_private_key_file"),
        )
        for one, other in pairs:
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one.upper()} and {other.upper()} go together.")
        return self

    @model_validator(mode="after")
    def _check_needs(self) -> Self:
        postgres = self.effective_database_url.startswith("postgres")
        webhook = self.moderation_policy != "off" and "webhook" in self.moderation_engines
        asked = self.moderation_webhook_url is not None and self.moderation_webhook_secret is not None
        missing = {
            "WORKERS=remote needs REDIS_URL.": self.workers == "remote" and self.redis_url is None,
            "WORKERS=remote needs a DATABASE_URL of Postgres.": self.workers == "remote" and not postgres,
            "STORAGE=s3 needs S3_BUCKET.": self.storage == "s3" and not self.s3_bucket,
            "CDN_KEY_PAIR_ID needs CDN_BASE_URL.": self.cdn_key_pair_id is not None and self.cdn_base_url is None,
            "MODERATION_ENGINES=webhook needs MODERATION_WEBHOOK_URL and _SECRET.": webhook and not asked,
        }
        for message, applies in missing.items():
            if applies:
                raise ValueError(message)
        return self


def _check_jwt_secret(secret: str) -> None:
    if len(secret.encode()) < _LEAST_JWT_SECRET_BYTES:
        raise ValueError(f"AUTH_MODE=jwt needs JWT_SECRET with at least {_LEAST_JWT_SECRET_BYTES} bytes.")
    if "-----BEGIN" in secret:
        raise ValueError("JWT_SECRET is a PEM: name the file with the public key in JWT_PUBLIC_KEY_FILE instead.")
