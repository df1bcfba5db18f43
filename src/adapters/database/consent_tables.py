"""The tables of consent, beside those in `tables.py`. They go with the profile, or the user, that they refer to."""

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table

from src.adapters.database.tables import Id, PlainText, UtcDateTime, metadata

consents = Table(
    "consents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("profile_id", Id, ForeignKey("voice_profiles.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),  # who gave it
    Column("sent_by", Id),  # the caller; null: of before this was kept
    Column("statement", PlainText, nullable=False),
    Column("method", String(32), nullable=False),
    Column("reference_sha256", JSON(none_as_null=True)),  # of each recording; null: of before this was kept
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Index(None, "profile_id"),
    Index(None, "user_id"),
)

voice_challenges = Table(
    "voice_challenges",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("language", String(35), nullable=False),
    Column("sentence", PlainText, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),  # null: it may be answered
    Index(None, "user_id"),
    Index(None, "expires_at"),
)
