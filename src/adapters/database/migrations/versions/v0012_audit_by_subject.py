"""What was done to a user, read by those who look after the service."""

from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_audit_log_subject_at", "audit_log", ["subject", "at"])
