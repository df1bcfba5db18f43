"""Messages to callers' own servers when their jobs have ended."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", _UTC, nullable=False),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("delivered_at", _UTC),
        sa.Column("given_up_at", _UTC),
        sa.Column("created_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["translation_jobs.id"], name="fk_callbacks_job_id_translation_jobs", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_callbacks_user_id_users"),
    )
    op.create_index("ix_callbacks_job_id", "callbacks", ["job_id"], unique=True)
    waiting = sa.text("delivered_at IS NULL AND given_up_at IS NULL")
    op.create_index(
        "ix_callbacks_waiting", "callbacks", ["next_attempt_at"], postgresql_where=waiting, sqlite_where=waiting
    )
