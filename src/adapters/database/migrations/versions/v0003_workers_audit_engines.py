"""What several workers need to share jobs, a log of who did what, and the engines in the usage."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)


def upgrade() -> None:
    _let_workers_share_jobs()
    _create_audit_log()
    for stage in ("transcription", "translation", "voice"):
        op.add_column("usage", sa.Column(f"{stage}_engine", sa.String(64)))
    op.create_index("ix_usage_day", "usage", ["day"])


def _let_workers_share_jobs() -> None:
    jobs = "translation_jobs"
    op.add_column(jobs, sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column(jobs, sa.Column("lease_until", _UTC))
    op.add_column(jobs, sa.Column("fence", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column(jobs, sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()))
    _create_partial_index("ix_translation_jobs_waiting", jobs, ["priority", "created_at", "id"], "status = 'pending'")
    _create_partial_index("ix_translation_jobs_leased", jobs, ["lease_until"], "status = 'processing'")
    op.create_index("ix_translation_jobs_user_id_created_at_id", jobs, ["user_id", "created_at", "id"])


def _create_partial_index(name: str, table: str, columns: list[str], rows: str) -> None:
    """Both databases keep in it only the rows that `rows` is true for: those that have ended cost it nothing."""
    op.create_index(name, table, columns, postgresql_where=sa.text(rows), sqlite_where=sa.text(rows))


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", _UTC, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("details", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_user_id_at", "audit_log", ["user_id", "at"])
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
