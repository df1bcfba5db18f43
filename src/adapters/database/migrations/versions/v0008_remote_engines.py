"""Engine calls of processes that have no engines, and the workers that do them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)
_ID = sa.String(255)
_CALLS, _WORKERS = "engine_calls", "workers"


def upgrade() -> None:
    _create_calls()
    _create_workers()


def _create_calls() -> None:
    op.create_table(
        _CALLS,
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("updated_at", _UTC, nullable=False),
        sa.Column("expires_at", _UTC, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("turn", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_until", _UTC),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_engine_calls"),
    )
    op.create_index("ix_engine_calls_expires_at", _CALLS, ["expires_at"])
    for name, columns, rows in (
        ("waiting", ["priority", "turn", "created_at", "id"], "status = 'pending'"),
        ("leased", ["lease_until"], "status = 'processing'"),
    ):
        where = sa.text(rows)
        op.create_index(f"ix_{_CALLS}_{name}", _CALLS, columns, postgresql_where=where, sqlite_where=where)


def _create_workers() -> None:
    op.create_table(
        _WORKERS,
        sa.Column("id", _ID, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("started_at", _UTC, nullable=False),
        sa.Column("seen_at", _UTC, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("capabilities", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_seen_at", _WORKERS, ["seen_at"])
