"""Deletions that outlive the process that began them, and files that are to be erased at some time."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0012"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)


def upgrade() -> None:
    _create_deletions()
    _create_erasures()
    op.create_index("ix_voice_profiles_embedding_path", "voice_profiles", ["embedding_path"])


def _create_deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", _ID),
        sa.Column("owner", _ID),
        sa.Column("subject_hash", sa.String(64), nullable=False),
        sa.Column("owner_hash", sa.String(64), nullable=False),
        sa.Column("requested_at", _UTC, nullable=False),
        sa.Column("settles_at", _UTC, nullable=False),
        sa.Column("next_attempt_at", _UTC, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("done_at", _UTC),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    where = sa.text("done_at IS NULL")
    op.create_index("ix_deletions_open", "deletions", ["next_attempt_at"], postgresql_where=where, sqlite_where=where)
    op.create_index("ix_deletions_owner_hash_requested_at", "deletions", ["owner_hash", "requested_at"])
    op.create_index("ix_deletions_requested_at", "deletions", ["requested_at"])


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("owner", _ID, nullable=False),
        sa.Column("profile_id", _ID),
        sa.Column("deletion_id", _ID),
        sa.Column("due_at", _UTC, nullable=False),
        sa.Column("passes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_erasures"),
    )
    for columns in (["owner"], ["profile_id"], ["deletion_id", "passes", "path"]):
        op.create_index(f"ix_erasures_{'_'.join(columns)}", "erasures", columns)
    where = sa.text("deletion_id IS NULL")
    op.create_index("ix_erasures_planned", "erasures", ["due_at"], postgresql_where=where, sqlite_where=where)
