"""The tables, in types that SQLite and Postgres both have. `migrations` makes them; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps no zone, so it is taken off on the way in and put on on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Raises ValueError for a datetime without a zone: nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text of any length. Postgres has no NUL in a text, so one that a caller sends is kept as the sign for what cannot
    be shown; in a lookup that finds nothing, as it should.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and _without_nul(value)


class Id(TypeDecorator[str]):
    """A text of bounded length: made by the service, or the subject of a token."""

    impl = String(255)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and _without_nul(value)


def _without_nul(value: str) -> str:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_json = JSON(none_as_null=True)


def where_rows(rows: str) -> dict[str, Any]:
    """An index of these rows only, in both dialects."""
    return {"postgresql_where": text(rows), "sqlite_where": text(rows)}


users = Table("users", metadata, Column("id", Id, primary_key=True), Column("created_at", UtcDateTime, nullable=False))

voice_profiles = Table(
    "voice_profiles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", PlainText),
    Column("pitch_hz", Double, nullable=False),
    Column("voice_type", String(32), nullable=False),
    Column("brightness", Double, nullable=False),
    Column("duration_seconds", Double, nullable=False),
    Column("embedding_path", Text, nullable=False),
    Column("reference_audio_path", Text, nullable=False),
    Column("additional_audio_paths", _json),  # null: none
    Column("consent_id", Id),  # which of its `consents` counts; null: none is on record. No key, as those refer here
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "embedding_path"),
    Index(None, "user_id", "created_at"),
)

translation_jobs = Table(
    "translation_jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("request", _json, nullable=False),
    Column("voice_profile_id", Id),  # also in `request`; here to be found by. No key: a job outlives its profile
    Column("input_key", Text, nullable=False),
    Column("status", String(32), nullable=False),
    Column("stage", String(32)),
    Column("attempts", Integer, nullable=False),
    Column("result", _json),
    Column("error", _json),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # for workers in several processes
    Column("priority", Integer, nullable=False, server_default=text("0")),  # lower ones are taken first
    Column("turn", BigInteger, nullable=False, server_default=text("0")),  # among those of its priority: see `add`
    Column("lease_until", UtcDateTime),  # when the worker that has it is taken for dead
    Column("fence", BigInteger, nullable=False, server_default=text("0")),  # counts the leases: an older one's is stale
    Column("cancel_requested", Boolean, nullable=False, server_default=false()),
    Index(None, "status", "updated_at"),
    Index(None, "voice_profile_id"),
    Index(None, "user_id", "created_at", "id"),
    Index(None, "user_id", "status", "created_at", "id"),
    # These three hold only jobs that have not ended, so that they stay small however many have.
    Index("ix_translation_jobs_waiting", "priority", "turn", "created_at", "id", **where_rows("status = 'pending'")),
    Index("ix_translation_jobs_turns", "user_id", "priority", "turn", **where_rows("status = 'pending'")),
    Index("ix_translation_jobs_leased", "lease_until", **where_rows("status = 'processing'")),
)

engine_calls = Table(
    "engine_calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),  # no key: a call may be of a user who has no row yet
    Column("method", String(64), nullable=False),
    Column("status", String(32), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", _json),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),  # when nobody waits for it any more
    # as in translation_jobs
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("turn", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_until", UtcDateTime),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("cancel_requested", Boolean, nullable=False, server_default=false()),
    # A row is there only while its caller waits, so the table is small whatever is asked of it.
    Index("ix_engine_calls_waiting", "priority", "turn", "created_at", "id", **where_rows("status = 'pending'")),
    Index("ix_engine_calls_leased", "lease_until", **where_rows("status = 'processing'")),
    Index(None, "expires_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("device", String(255), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("draining", Boolean, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("capabilities", _json, nullable=False),
    Index(None, "seen_at"),
)

usage = Table(
    "usage",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),  # SQLite counts up only INTEGER
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("day", Date, nullable=False),  # of `at`, in UTC: what the sums are grouped by
    Column("at", UtcDateTime, nullable=False),
    Column("operation", String(32), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("source_language", String(35)),
    Column("target_language", String(35)),
    Column("seconds_in", Double, nullable=False),
    Column("seconds_out", Double, nullable=False),
    Column("characters", Integer, nullable=False),
    Column("transcription_engine", String(64)),
    Column("translation_engine", String(64)),
    Column("voice_engine", String(64)),
    Index(None, "user_id", "day"),
    Index(None, "day"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("user_id", Id, nullable=False),  # who did it; no key, as what was done stays done when the user is gone
    Column("action", String(64), nullable=False),
    Column("subject", PlainText, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("details", _json),
    Index(None, "user_id", "at"),
    Index(None, "subject", "at"),
    Index(None, "at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Id, primary_key=True),
    Column("key_hash", String(64), primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("claim_id", String(32)),  # of the request that is, or was, at work
    Column("value", Text),  # null while it is
    Column("expires_at", UtcDateTime, nullable=False),
    Index(None, "expires_at"),
)

revocations = Table(
    "revocations",
    metadata,
    Column("subject", Id, primary_key=True),  # one token, or one user
    Column("issued_until", UtcDateTime, nullable=False),  # its tokens issued until then are refused
    Column("expires_at", UtcDateTime, nullable=False),  # when the last of them has expired by itself
    Index(None, "expires_at"),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("id", String(64), primary_key=True),
    # one for each job, and gone with it: its receiver could fetch nothing any more
    Column("job_id", Id, ForeignKey("translation_jobs.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),  # also in `url`; here to be passed over by
    Column("type", String(32), nullable=False),
    Column("data", _json, nullable=False),
    Column("attempts", Integer, nullable=False),  # that were begun; also the fence: an earlier one's outcome is stale
    Column("next_attempt_at", UtcDateTime, nullable=False),  # while one runs: when its process is taken for dead
    Column("last_status", Integer),  # of HTTP; null: there was no answer
    Column("last_error", Text),
    Column("delivered_at", UtcDateTime),
    Column("given_up_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "job_id", unique=True),
    Index("ix_callbacks_waiting", "next_attempt_at", **where_rows("delivered_at IS NULL AND given_up_at IS NULL")),
)
