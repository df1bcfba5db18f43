"""Jobs as tests of the database make and find them."""

from typing import Any

from sqlalchemy import select

from src.adapters.database.engine import Database
from src.adapters.database.tables import translation_jobs
from src.domain.audio import AudioFormat
from src.domain.jobs import Job, JobRequest, JobStatus, UsageEvent

MANY = 1_000_000
"""May wait."""
USED = UsageEvent("ana", "translate", "completed")


def job(job_id: str, user_id: str = "ana", **fields: Any) -> Job:
    return Job(job_id, user_id, JobRequest(AudioFormat.WAV, "es"), f"inputs/{job_id}.wav", **fields)


async def ids_with(database: Database, status: JobStatus) -> list[str]:
    """Of the jobs in this state, oldest first."""
    query = select(translation_jobs.c.id).where(translation_jobs.c.status == status.value)
    return [row.id for row in await database.read(query.order_by(translation_jobs.c.created_at))]
