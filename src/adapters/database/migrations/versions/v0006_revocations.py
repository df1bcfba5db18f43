"""Tokens that were revoked, and which request is at work on an idempotency key."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("claim_id", sa.String(32)))
    op.create_table(
        "revocations",
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("issued_until", _UTC, nullable=False),
        sa.Column("expires_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_revocations"),
    )
    op.create_index("ix_revocations_expires_at", "revocations", ["expires_at"])
