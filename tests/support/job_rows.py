"""Jobs as tests of the database make and find them."""

from typing import Any

from sqlalchemy import select

from src.adapters.database.engine import Database
from src.adapters.database.tables import translation_jobs
from src.domain.audio import AudioFormat
from src.domain.jobs import (
    Engines,
    Job,
    JobRequest,
    JobStatus,
    Stage,
    TranslatedSegment,
    TranslationResult,
    UsageEvent,
)
from src.domain.speech import VoiceMatch

MANY = 1_000_000
"""May wait."""
USED = UsageEvent("ana", "translate", "completed")
RESULT = TranslationResult(
    original_text="Hello.",
    translated_text="Hola.",
    source_language="en",
    segments=(TranslatedSegment(0.5, 1.25, "Hello.", "Hola."),),
    confidence=0.75,
    source_seconds=2.0,
    duration_seconds=1.5,
    voice_match=VoiceMatch(0.8, 0.9, 0.7),
    engines=Engines("whisper", "apertium (en>es)", "espeak"),
    degraded=("translation",),
    timestamps=dict.fromkeys(Stage, 1.5),
    processing_time_ms=7.5,
    audio_key="results/a.wav",
)


def job(job_id: str, user_id: str = "ana", **fields: Any) -> Job:
    return Job(job_id, user_id, JobRequest(AudioFormat.WAV, "es"), f"inputs/{job_id}.wav", **fields)


async def ids_with(database: Database, status: JobStatus) -> list[str]:
    """Of the jobs in this state, oldest first."""
    query = select(translation_jobs.c.id).where(translation_jobs.c.status == status.value)
    return [row.id for row in await database.read(query.order_by(translation_jobs.c.created_at))]
