"""Domain values to response bodies."""

import pybase64

from src.api.dependencies import Links
from src.api.error_handlers import STATUS
from src.api.problems import title_of
from src.api.provenance import present_marks
from src.api.schemas import common, jobs, moderation, profiles, voice
from src.domain.consent import Challenge
from src.domain.jobs import Job, JobError, TranslationResult, VoiceProfile
from src.domain.moderation import ModerationReport
from src.domain.ports import Storage
from src.domain.speech import VoiceMatch
from src.services.jobs.board import Forecast
from src.services.on_demand import Heard, Spoken


async def job_response(
    job: Job, storage: Storage, links: Links, forecast: Forecast | None = None
) -> voice.TranslateResponse:
    """A job in any state. Reads the spoken answer from storage when the caller asked for it in the body."""
    wav = await storage.get(job.result.audio_key) if job.result and job.request.return_base64 else None
    fields = {**_job_fields(job, links), "audio_base64": encode(wav)}
    if forecast is not None:
        fields["position"] = forecast.position
        fields["estimated_wait_seconds"] = forecast.wait_seconds and round(forecast.wait_seconds, 2)
    return voice.TranslateResponse.model_validate(fields)


def job_summary(job: Job, links: Links) -> jobs.JobSummary:
    """A job in any state, as lists have it."""
    fields = _job_fields(job, links)
    return jobs.JobSummary.model_validate({name: fields[name] for name in jobs.JobSummary.model_fields & fields.keys()})


def _job_fields(job: Job, links: Links) -> dict[str, object]:
    """All but the sound."""
    fields: dict[str, object] = {
        "job_id": job.id,
        "status": job.status,
        "stage": job.stage,
        "target_language": job.request.target_language,
        "target_variant": job.request.wording.target_variant,
        "source_language": job.request.source_language,
        "error": job_problem(job, job.error) if job.error else None,
        "created_at": job.created_at,
    }
    if job.result is not None:
        fields |= _result_fields(job.result)
        fields["audio_url"] = links.audio(job.result.audio_key) if job.request.return_audio_url else None
    return fields


def _result_fields(result: TranslationResult) -> dict[str, object]:
    milliseconds = {f"{stage}_ms": round(value, 2) for stage, value in result.timestamps.items()}
    return {
        "source_language": result.source_language,
        "target_variant": result.target_variant,
        "original_text": result.original_text,
        "translated_text": result.translated_text,
        "duration_seconds": round(result.duration_seconds, 3),
        "voice_similarity": round(result.voice_match.similarity, 4),
        "voice_match": match(result.voice_match),
        "confidence": round(result.confidence, 4),
        "segments": [
            voice.TranslatedSegment(
                start=round(segment.start, 3),
                end=round(segment.end, 3),
                text=segment.text,
                translated_text=segment.translated_text,
            )
            for segment in result.segments
        ],
        "provenance": present_marks(result.provenance),
        "engines": voice.Engines(
            transcription=result.engines.transcription,
            translation=result.engines.translation,
            voice=result.engines.voice,
        ),
        "degraded": list(result.degraded),
        "moderation": moderated(result.moderation),
        "processing_time_ms": round(result.processing_time_ms, 2),
        "timestamps": voice.Timestamps.model_validate(milliseconds),
    }


def job_problem(job: Job, error: JobError) -> common.JobProblem:
    return common.JobProblem(
        code=error.code,
        title=title_of(error.code),
        status=STATUS.get(error.code, 500),
        detail=error.detail,
        retryable=error.retryable,
        retry_after_seconds=job.retry_after_seconds(),
    )


def transcribed(heard: Heard) -> voice.TranscribeResponse:
    transcript = heard.transcript
    return voice.TranscribeResponse(
        text=transcript.text,
        source_language=transcript.language,
        language_probability=transcript.language_probability,
        confidence=round(transcript.confidence, 4),
        segments=[
            voice.HeardSegment(
                start=round(segment.start, 3),
                end=round(segment.end, 3),
                text=segment.text,
                words=[
                    voice.HeardWord(
                        text=word.text,
                        start=round(word.start, 3),
                        end=round(word.end, 3),
                        confidence=round(word.confidence, 4),
                    )
                    for word in segment.words
                ],
            )
            for segment in transcript.segments
        ],
        duration_seconds=round(heard.source_seconds, 3),
        engine=heard.engine,
        degraded=list(heard.degraded),
        moderation=moderated(heard.moderation),
        processing_time_ms=round(heard.processing_time_ms, 2),
    )


def spoken(answer: Spoken, request: voice.CloneRequest, language: str, links: Links) -> voice.CloneResponse:
    return voice.CloneResponse(
        audio_base64=encode(answer.wav) if request.return_base64 else None,
        audio_url=links.audio(answer.audio_key) if request.return_audio_url else None,
        duration_seconds=round(answer.duration_seconds, 3),
        target_language=language,
        voice_similarity=round(answer.voice_match.similarity, 4),
        voice_match=match(answer.voice_match),
        provenance=present_marks(answer.provenance),
        engine=answer.engine,
        degraded=list(answer.degraded),
        moderation=moderated(answer.moderation),
        processing_time_ms=round(answer.processing_time_ms, 2),
    )


def profile(stored: VoiceProfile) -> profiles.ProfileResponse:
    return profiles.ProfileResponse(
        profile_id=stored.id,
        name=stored.name,
        user_id=stored.user_id,
        voice_characteristics=profiles.VoiceCharacteristics(
            pitch_hz=round(stored.pitch_hz, 1), voice_type=stored.voice_type, brightness=round(stored.brightness, 4)
        ),
        duration_seconds=round(stored.duration_seconds, 3),
        embedding_cached=bool(stored.embedding_path),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        consent=profiles.ConsentResponse(
            statement=stored.consent.statement,
            recorded_at=stored.consent.recorded_at,
            received_at=stored.consent.received_at,
            method=stored.consent.method,
        ),
        verified=stored.verified,
        verified_at=stored.consent.verified_at,
    )


def moderated(report: ModerationReport | None) -> moderation.Moderation | None:
    if report is None:
        return None
    stages = {
        stage: {
            "flagged": found.flagged,
            "categories": found.categories,
            "severity": found.severity,
            "reviewed_by": found.reviewed_by,
        }
        for stage, found in report.stages.items()
    }
    fields = {
        "policy": report.policy.value,
        "flagged": report.flagged,
        "categories": report.categories,
        "stages": stages,
        "engines": report.engines,
    }
    return moderation.Moderation.model_validate(fields)


def challenge(made: Challenge) -> profiles.ChallengeResponse:
    return profiles.ChallengeResponse(
        challenge_id=made.id, sentence=made.sentence, language=made.language, expires_at=made.expires_at
    )


def match(measured: VoiceMatch) -> common.VoiceMatch:
    return common.VoiceMatch(
        similarity=round(measured.similarity, 4),
        pitch_agreement=round(measured.pitch_agreement, 4),
        timbre_agreement=round(measured.timbre_agreement, 4),
    )


def encode(wav: bytes | None) -> str | None:
    """Standard base64 with padding."""
    return None if wav is None else pybase64.b64encode_as_string(wav)
