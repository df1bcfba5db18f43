"""Domain values to response bodies: models take fields by their names, and round what was measured."""

import math
import statistics
import zlib
from dataclasses import fields
from typing import Any

import pybase64
from pydantic import BaseModel

from src.api.dependencies import Links
from src.api.error_handlers import STATUS
from src.api.schemas import jobs, openai, profiles, provenance, voice
from src.domain.errors import error_kind
from src.domain.jobs import Job, TranslationResult, VoiceProfile
from src.domain.languages import LANGUAGES
from src.domain.ports import Storage
from src.domain.provenance import Detection
from src.domain.speech import Segment
from src.services.jobs.board import Forecast
from src.services.on_demand import Heard, Spoken

_NO_CONSENT = "No consent of the speaker is on record for this voice: send `consent` with the profile to have it kept."


async def job_response(
    job: Job, storage: Storage, links: Links, forecast: Forecast | None = None
) -> voice.TranslateResponse:
    """A job in any state. Reads the spoken answer from storage when the caller asked for it in the body."""
    wav = await storage.get(job.result.audio_key) if job.result and job.request.return_base64 else None
    found = {**_job_fields(job, links), "audio_base64": encode(wav), "transcript": _heard_by(job)}
    if forecast is not None:
        found["position"] = forecast.position
        found["estimated_wait_seconds"] = forecast.wait_seconds and round(forecast.wait_seconds, 2)
    return voice.TranslateResponse.model_validate(found, from_attributes=True)


def job_summary(job: Job, links: Links) -> jobs.JobSummary:
    """A job in any state, as lists have it."""
    return jobs.JobSummary.model_validate(_job_fields(job, links), from_attributes=True)


def _job_fields(job: Job, links: Links) -> dict[str, Any]:
    """All but the sound."""
    asked = job.request
    found = {
        "job_id": job.id,
        "status": job.status,
        "stage": job.stage,
        "target_language": asked.target_language,
        "target_variant": asked.wording.target_variant,
        "source_language": asked.source_language,
        "error": _job_error(job),
        "created_at": job.created_at,
    }
    if job.result is not None:
        found |= _result_fields(job.result)
        found["audio_url"] = links.audio(job.result.audio_key) if asked.return_audio_url else None
    return found


def _result_fields(result: TranslationResult) -> dict[str, Any]:
    return {
        **_fields(result),
        "voice_similarity": result.voice_match and result.voice_match.similarity,
        "timestamps": {f"{stage}_ms": value for stage, value in result.timestamps.items()},
    }


def _job_error(job: Job) -> dict[str, Any] | None:
    if job.error is None:
        return None
    code = job.error.code
    known = {"title": error_kind(code).title, "status": STATUS.get(code, 500)}
    return {**_fields(job.error), **known, "retry_after_seconds": job.retry_after_seconds()}


def transcribed(heard: Heard) -> voice.TranscribeResponse:
    found = {**_fields(heard.transcript), **_fields(heard), "text": heard.transcript.text}
    found |= {"source_language": heard.transcript.language, "duration_seconds": heard.source_seconds}
    return voice.TranscribeResponse.model_validate(found, from_attributes=True)


def transcribed_by_job(job: Job) -> voice.TranscribeResponse:
    """As `transcribed`, of a completed job that heard a recording."""
    heard = _heard_by(job)
    assert heard is not None  # noqa: S101 - it is completed
    return heard


def _heard_by(job: Job) -> voice.TranscribeResponse | None:
    heard = heard_by(job)
    return None if heard is None else transcribed(heard)


def heard_by(job: Job) -> Heard | None:
    """What a job heard that is completed, and is one of hearing alone."""
    result = job.result
    if result is None or result.transcript is None:
        return None
    return Heard(
        result.transcript,
        result.engines.transcription,
        result.degraded,
        result.source_seconds,
        result.processing_time_ms,
        result.moderation,
    )


def openai_transcription(heard: Heard) -> openai.Transcription:
    usage = openai.DurationUsage(seconds=math.ceil(heard.source_seconds))
    return openai.Transcription(text=heard.transcript.text, usage=usage, degraded=list(heard.degraded))


def openai_verbose(heard: Heard, task: str, granularities: frozenset[str]) -> openai.VerboseTranscription:
    """With the segments, unless words alone are asked for."""
    transcript = heard.transcript
    name = LANGUAGES[transcript.language].name.lower()
    found = openai_transcription(heard).model_dump()
    found |= {"task": task, "language": name, "duration": heard.source_seconds}
    if granularities != {"word"}:
        found["segments"] = [_openai_segment(index, each, heard) for index, each in enumerate(transcript.segments)]
    if "word" in granularities:
        words = (word for segment in transcript.segments for word in segment.words)
        found["words"] = [openai.VerboseWord(word=word.text.strip(), start=word.start, end=word.end) for word in words]
    return openai.VerboseTranscription.model_validate(found)


def _openai_segment(index: int, segment: Segment, heard: Heard) -> openai.VerboseSegment:
    sure = [word.confidence for word in segment.words] or [heard.transcript.confidence]
    text = segment.text.encode()
    return openai.VerboseSegment(
        id=index,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        avg_logprob=statistics.fmean(math.log(max(each, 1e-6)) for each in sure),
        compression_ratio=len(text) / len(zlib.compress(text)),
    )


def spoken(answer: Spoken, request: voice.CloneRequest, language: str, links: Links) -> voice.CloneResponse:
    found = {
        **_fields(answer),
        "audio_base64": encode(answer.wav) if request.return_base64 else None,
        "audio_url": links.audio(answer.audio_key) if request.return_audio_url else None,
        "target_language": language,
        "voice_similarity": answer.voice_match.similarity,
    }
    return voice.CloneResponse.model_validate(found, from_attributes=True)


async def spoken_by_job(job: Job, storage: Storage, links: Links) -> voice.CloneResponse:
    """As `spoken`, of a completed job that said a text."""
    answer = await job_response(job, storage, links)
    assert answer.engines is not None  # noqa: S101 - it is completed
    return voice.CloneResponse.model_validate({**_attributes(answer), "engine": answer.engines.voice})


def profile(stored: VoiceProfile) -> profiles.ProfileResponse:
    found = {
        **_fields(stored),
        "profile_id": stored.id,
        "voice_characteristics": stored,
        "embedding_cached": bool(stored.embedding_path),
        "verified": stored.verified,
        "verified_at": stored.verified_at,
        "degraded": [*stored.notes, *([] if stored.consent is not None else [_NO_CONSENT])],
    }
    return profiles.ProfileResponse.model_validate(found, from_attributes=True)


def detected(found: Detection) -> provenance.DetectResponse:
    watermark: dict[str, Any] = {"checked": False}
    if (mark := found.watermark) is not None:
        watermark = {**_fields(mark), "checked": True, "found": mark.found, "ours": mark.found and mark.ours}
    body = {**_fields(found), "riff_info": found.info, "watermark": watermark}
    return provenance.DetectResponse.model_validate(body, from_attributes=True)


def encode(wav: bytes | None) -> str | None:
    """Standard base64 with padding."""
    return None if wav is None else pybase64.b64encode_as_string(wav)


def _attributes(body: BaseModel) -> dict[str, Any]:
    return {name: getattr(body, name) for name in type(body).model_fields}


def _fields(value: Any) -> dict[str, Any]:
    """Of a dataclass, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
