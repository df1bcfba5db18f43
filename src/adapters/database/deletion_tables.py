"""The tables of deletions, beside those in `tables.py`: what is to be erased, and what is remembered of it."""

from sqlalchemy import Column, Index, Integer, String, Table

from src.adapters.database.tables import Id, UtcDateTime, metadata, where_rows

deletions = Table(
    "deletions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", Id),  # null, like the owner: it is done
    Column("owner", Id),
    Column("subject_hash", String(64), nullable=False),  # what a restored backup is searched for
    Column("owner_hash", String(64), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("settles_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),  # while one runs: when its process is taken for dead
    Column("attempts", Integer, nullable=False),
    Column("done_at", UtcDateTime),
    Index("ix_deletions_open", "next_attempt_at", **where_rows("done_at IS NULL")),
    Index(None, "owner_hash", "requested_at"),
    Index(None, "requested_at"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("path", String(512), primary_key=True),  # a key of the storage, or a folder with a slash at its end
    Column("owner", Id, nullable=False),
    Column("profile_id", Id),  # what it is derived from
    Column("deletion_id", Id),  # null: it is planned for `due_at`
    Column("due_at", UtcDateTime, nullable=False),
    Column("passes", Integer, nullable=False),
    Index(None, "owner"),
    Index(None, "profile_id"),
    Index(None, "deletion_id", "passes", "path"),
    Index("ix_erasures_planned", "due_at", **where_rows("deletion_id IS NULL")),
)
