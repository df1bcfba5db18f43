"""Users take turns: the place of a waiting job among those of its priority."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JOBS = "translation_jobs"


def upgrade() -> None:
    op.add_column(_JOBS, sa.Column("turn", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.drop_index("ix_translation_jobs_waiting", _JOBS)
    waiting = sa.text("status = 'pending'")
    for name, columns in (
        ("waiting", ["priority", "turn", "created_at", "id"]),
        ("turns", ["user_id", "priority", "turn"]),
    ):
        op.create_index(f"ix_{_JOBS}_{name}", _JOBS, columns, postgresql_where=waiting, sqlite_where=waiting)
