"""Domain values to columns and back. JSON in a column has the names of the fields; a missing one takes its default."""

from collections.abc import Mapping
from datetime import UTC
from enum import Enum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, Table

from src.adapters.database.consent_tables import consents
from src.adapters.database.tables import translation_jobs, usage, voice_profiles
from src.domain.consent import Consent
from src.domain.jobs import Job, JobError, JobRequest, TranslatedSegment, TranslationResult, UsageEvent, VoiceProfile
from src.domain.provenance import marks_from_json

Values = dict[str, Any]

_JOB, _REQUEST, _RESULT, _ERROR = map(TypeAdapter[Any], (Job, JobRequest, TranslationResult, JobError))
_PROFILE, _CONSENT = map(TypeAdapter[Any], (VoiceProfile, Consent))


def columns(table: Table, value: object, **others: Any) -> Values:
    """The columns of `table` that have the name of an attribute of `value`, and `others`."""
    named = {name: getattr(value, name) for name in table.c.keys() if hasattr(value, name)}  # noqa: SIM118 - no mapping
    return {name: item.value if isinstance(item, Enum) else item for name, item in {**named, **others}.items()}


def job_to_values(job: Job) -> Values:
    """Every column of `translation_jobs` that a job has; its trace lies beside what the caller asked for."""
    trace = {"request_id": job.trace.request_id, "traceparent": job.trace.traceparent} if job.trace else None
    request = {**_REQUEST.dump_python(job.request, mode="json"), **({"trace": trace} if trace else {})}
    rest = {"request": request, "voice_profile_id": job.request.voice_profile_id, **job_outcome(job)}
    return columns(translation_jobs, job, **rest)


def job_outcome(job: Job) -> Values:
    """The columns that say what became of it."""
    return {
        "status": job.status.value,
        "result": result_to_json(job.result) if job.result else None,
        "error": error_to_json(job.error),
        "updated_at": job.updated_at,
    }


def job_from_row(row: Row[Any]) -> Job:
    result = result_from_json(row.result) if row.result else None
    job: Job = _JOB.validate_python({**row._asdict(), "result": result, "trace": row.request.get("trace")})
    return job


def result_to_json(result: TranslationResult) -> Values:
    segments = [[s.start, s.end, s.text, s.translated_text, s.language] for s in result.segments]
    return {**_RESULT.dump_python(result, mode="json"), "segments": segments}


def result_from_json(value: Values) -> TranslationResult:
    """Also of earlier releases, which had neither provenance nor moderation."""
    segments = tuple(TranslatedSegment(*segment) for segment in value["segments"])
    marks = marks_from_json(value.get("provenance"))
    result: TranslationResult = _RESULT.validate_python({**value, "segments": segments, "provenance": marks})
    return result


def error_to_json(error: JobError | None) -> Values | None:
    return None if error is None else _ERROR.dump_python(error, mode="json")


def usage_to_values(event: UsageEvent) -> Values:
    """Every column of `usage` but the number of the row. `apertium (en>es>fr)` counts as apertium."""
    engines = {name: getattr(event, name) for name in usage.c.keys() if name.endswith("_engine")}  # noqa: SIM118
    named = {name: engine and engine.partition(" (")[0][:64] for name, engine in engines.items()}
    return columns(usage, event, day=event.at.astimezone(UTC).date(), **named)


def profile_to_values(profile: VoiceProfile) -> Values:
    """Every column of `voice_profiles`."""
    additional = list(profile.additional_audio_paths) or None
    consent_id = profile.consent and profile.consent.id
    return columns(voice_profiles, profile, additional_audio_paths=additional, consent_id=consent_id)


def consent_to_values(consent: Consent, profile_id: str, user_id: str) -> Values:
    """Every column of `consents`."""
    given = {"profile_id": profile_id, "user_id": user_id, "reference_sha256": list(consent.references)}
    return columns(consents, consent, **given)


def consent_from_row(row: Mapping[str, Any]) -> Consent:
    consent: Consent = _CONSENT.validate_python({**row, "references": row["reference_sha256"] or ()})
    return consent


def profile_from_row(row: Row[Any], consent: Consent | None) -> VoiceProfile:
    paths = row.additional_audio_paths or ()
    profile: VoiceProfile = _PROFILE.validate_python(
        {**row._asdict(), "additional_audio_paths": paths, "consent": consent}
    )
    return profile
