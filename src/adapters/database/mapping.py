"""Domain values to columns and back, field by field: what is stored stays readable when a class changes."""

from datetime import UTC
from typing import Any

from sqlalchemy import Row

from src.domain.audio import AudioFormat
from src.domain.consent import Consent, ConsentMethod
from src.domain.jobs import (
    Engines,
    Job,
    JobError,
    JobRequest,
    JobStatus,
    Priority,
    Stage,
    TranslatedSegment,
    TranslationResult,
    UsageEvent,
    VoiceProfile,
)
from src.domain.moderation import ModerationReport
from src.domain.provenance import marks_from_json, marks_to_json
from src.domain.speech import Formality, Quality, VoiceMatch, VoiceType, Wording
from src.domain.tracing import Trace

Values = dict[str, Any]


def job_to_values(job: Job) -> Values:
    """Every column of `translation_jobs`."""
    return {
        "id": job.id,
        "user_id": job.user_id,
        "request": {**request_to_json(job.request), **_trace_to_json(job.trace)},
        "voice_profile_id": job.request.voice_profile_id,
        "input_key": job.input_key,
        "created_at": job.created_at,
        "priority": job.priority.value,
        "attempts": job.attempts,
        "fence": job.fence,
        "cancel_requested": job.cancel_requested,
        "stage": job.stage and job.stage.value,
        **job_outcome(job),
    }


def job_outcome(job: Job) -> Values:
    """The columns that say what became of it."""
    return {
        "status": job.status.value,
        "result": job.result and result_to_json(job.result),
        "error": job.error and error_to_json(job.error),
        "updated_at": job.updated_at,
    }


def job_from_row(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        user_id=row.user_id,
        request=request_from_json(row.request),
        input_key=row.input_key,
        status=JobStatus(row.status),
        stage=Stage(row.stage) if row.stage else None,
        attempts=row.attempts,
        result=result_from_json(row.result) if row.result else None,
        error=JobError(**row.error) if row.error else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        priority=Priority(row.priority),
        fence=row.fence,
        cancel_requested=row.cancel_requested,
        trace=Trace(**trace) if (trace := row.request.get("trace")) else None,
    )


def _trace_to_json(trace: Trace | None) -> Values:
    """Beside what the caller asked for, as nobody looks for jobs by it."""
    return {"trace": {"request_id": trace.request_id, "traceparent": trace.traceparent}} if trace else {}


def request_to_json(request: JobRequest) -> Values:
    return {
        "audio_format": request.audio_format.value,
        "target_language": request.target_language,
        "source_language": request.source_language,
        "voice_profile_id": request.voice_profile_id,
        "quality": request.quality.value,
        "preserve_emotion": request.preserve_emotion,
        "return_audio_url": request.return_audio_url,
        "return_base64": request.return_base64,
        "wording": wording_to_json(request.wording),
        "callback_url": request.callback_url,
    }


def request_from_json(value: Values) -> JobRequest:
    return JobRequest(
        **{
            **{name: item for name, item in value.items() if name != "trace"},
            "audio_format": AudioFormat(value["audio_format"]),
            "quality": Quality(value["quality"]),
            "wording": wording_from_json(value.get("wording", {})),  # jobs of earlier releases have none
        }
    )


def wording_to_json(wording: Wording) -> Values:
    return {
        "target_variant": wording.target_variant,
        "formality": wording.formality and wording.formality.value,
        "glossary_id": wording.glossary_id,
        "context": wording.context,
    }


def wording_from_json(value: Values) -> Wording:
    formality = value.get("formality")
    return Wording(**{**value, "formality": formality and Formality(formality)})


def result_to_json(result: TranslationResult) -> Values:
    return {
        "original_text": result.original_text,
        "translated_text": result.translated_text,
        "source_language": result.source_language,
        "segments": [[s.start, s.end, s.text, s.translated_text] for s in result.segments],
        "confidence": result.confidence,
        "source_seconds": result.source_seconds,
        "duration_seconds": result.duration_seconds,
        "voice_match": match_to_json(result.voice_match),
        "engines": engines_to_json(result.engines),
        "degraded": list(result.degraded),
        "timestamps": {stage.value: milliseconds for stage, milliseconds in result.timestamps.items()},
        "processing_time_ms": result.processing_time_ms,
        "audio_key": result.audio_key,
        "target_variant": result.target_variant,
        "provenance": marks_to_json(result.provenance),
        "moderation": result.moderation and result.moderation.as_json(),
    }


def result_from_json(value: Values) -> TranslationResult:
    moderated = value.get("moderation")  # results of earlier releases have none
    return TranslationResult(
        **{
            **value,
            "segments": tuple(TranslatedSegment(*segment) for segment in value["segments"]),
            "voice_match": VoiceMatch(**value["voice_match"]),
            "engines": Engines(**value["engines"]),
            "degraded": tuple(value["degraded"]),
            "timestamps": {Stage(stage): milliseconds for stage, milliseconds in value["timestamps"].items()},
            "provenance": marks_from_json(value.get("provenance")),
            "moderation": moderated and ModerationReport.of_json(moderated),
        }
    )


def match_to_json(match: VoiceMatch) -> Values:
    return {
        "similarity": match.similarity,
        "pitch_agreement": match.pitch_agreement,
        "timbre_agreement": match.timbre_agreement,
    }


def engines_to_json(engines: Engines) -> Values:
    return {"transcription": engines.transcription, "translation": engines.translation, "voice": engines.voice}


def error_to_json(error: JobError) -> Values:
    return {
        "code": error.code,
        "detail": error.detail,
        "retryable": error.retryable,
        "retry_after_seconds": error.retry_after_seconds,
    }


def usage_to_values(event: UsageEvent) -> Values:
    """Every column of `usage` but the number of the row."""
    return {
        "user_id": event.user_id,
        "day": event.at.astimezone(UTC).date(),
        "at": event.at,
        "operation": event.operation,
        "outcome": event.outcome,
        "source_language": event.source_language,
        "target_language": event.target_language,
        "seconds_in": event.seconds_in,
        "seconds_out": event.seconds_out,
        "characters": event.characters,
        "transcription_engine": _without_route(event.transcription_engine),
        "translation_engine": _without_route(event.translation_engine),
        "voice_engine": _without_route(event.voice_engine),
    }


def _without_route(engine: str | None) -> str | None:
    """`apertium (en>es>fr)` counts as apertium."""
    return engine and engine.partition(" (")[0][:64]


def profile_to_values(profile: VoiceProfile) -> Values:
    """Every column of `voice_profiles`."""
    return {
        "id": profile.id,
        "user_id": profile.user_id,
        "name": profile.name,
        "pitch_hz": profile.pitch_hz,
        "voice_type": profile.voice_type.value,
        "brightness": profile.brightness,
        "duration_seconds": profile.duration_seconds,
        "embedding_path": profile.embedding_path,
        "reference_audio_path": profile.reference_audio_path,
        "additional_audio_paths": list(profile.additional_audio_paths) or None,
        "consent_id": profile.consent.id,
        "created_at": profile.created_at,
        "updated_at": profile.updated_at,
    }


def consent_to_values(consent: Consent, profile_id: str, user_id: str) -> Values:
    """Every column of `consents`."""
    return {
        "id": consent.id,
        "profile_id": profile_id,
        "user_id": user_id,
        "sent_by": consent.sent_by,
        "statement": consent.statement,
        "method": consent.method.value,
        "reference_sha256": list(consent.references),
        "recorded_at": consent.recorded_at,
        "received_at": consent.received_at,
    }


def consent_from_row(row: Row[Any], prefix: str = "") -> Consent:
    """`prefix`: what the names of the columns begin with."""

    def value(name: str) -> Any:
        return getattr(row, prefix + name)

    return Consent(
        id=value("id"),
        statement=value("statement"),
        recorded_at=value("recorded_at"),
        sent_by=value("sent_by"),
        method=ConsentMethod(value("method")),
        references=tuple(value("reference_sha256") or ()),
        received_at=value("received_at"),
    )


def profile_from_row(row: Row[Any], consent: Consent) -> VoiceProfile:
    return VoiceProfile(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        pitch_hz=row.pitch_hz,
        voice_type=VoiceType(row.voice_type),
        brightness=row.brightness,
        duration_seconds=row.duration_seconds,
        embedding_path=row.embedding_path,
        reference_audio_path=row.reference_audio_path,
        consent=consent,
        additional_audio_paths=tuple(row.additional_audio_paths or ()),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
