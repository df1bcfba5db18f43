"""Lists of a user's jobs in one state. Nothing asks for all users' jobs by state and age of the request any more."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JOBS = "translation_jobs"


def upgrade() -> None:
    op.drop_index(f"ix_{_JOBS}_status_created_at", _JOBS)
    columns = ["user_id", "status", "created_at", "id"]
    op.create_index(f"ix_{_JOBS}_{'_'.join(columns)}", _JOBS, columns)
