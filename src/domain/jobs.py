"""Translation jobs, voice profiles and usage: what the service keeps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Protocol

from src.domain.audio import AnswerFormat, AudioFormat
from src.domain.consent import Consent
from src.domain.errors import error_kind
from src.domain.identity import Trace
from src.domain.moderation import ModerationReport
from src.domain.provenance import Mark
from src.domain.speech import AS_CONFIGURED, NO_HINTS, Hints, Quality, Transcript, VoiceMatch, VoiceType, Wording


def now() -> datetime:
    """The present, in UTC, as every time in the service."""
    return datetime.now(UTC)


class JobStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Priority(IntEnum):
    """Which of two waiting jobs is taken first: the one with the lower number, however long the other has waited."""

    INTERACTIVE = 0  # somebody holds the phone and waits
    BATCH = 10


class Stage(StrEnum):
    """The five steps of the pipeline, in order."""

    PREPROCESSING = "preprocessing"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    VOICE_CLONING = "voice_cloning"
    POSTPROCESSING = "postprocessing"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What the caller asked for. Languages are canonical codes.

    `text`: what to say, in the voice of the recording or of the profile; None: what is heard, translated.
    `target_language` None: what is heard, as it is. `audio_counted`: in the budget of the user, when it was sent.
    `speed`: of `text`, 0.25 to 4 times the engine's own.
    """

    audio_format: AudioFormat
    target_language: str | None
    source_language: str | None = None
    voice_profile_id: str | None = None
    quality: Quality = Quality.BALANCED
    preserve_emotion: bool = True
    return_audio_url: bool = True
    return_base64: bool = True
    wording: Wording = AS_CONFIGURED
    callback_url: str | None = None  # where to say that the job has ended
    text: str | None = None
    hints: Hints = NO_HINTS
    audio_counted: bool = False
    output_format: AnswerFormat = AnswerFormat.WAV
    speed: float = 1.0

    @property
    def operation(self) -> str:
        """As usage counts it."""
        if self.text is not None:
            return "clone"
        return "transcribe" if self.target_language is None else "translate"


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    start: float  # seconds in the caller's audio
    end: float
    text: str
    translated_text: str
    language: str | None = None  # of `text`; None: done by a release that did not say


@dataclass(frozen=True, slots=True)
class Engines:
    """Which engine did each stage, with its route where that says more: `apertium (en>es>fr)`."""

    transcription: str
    translation: str
    voice: str


@dataclass(frozen=True, slots=True)
class TranslationResult:
    """A completed translation. `audio_key` names the spoken answer in storage; of a transcription there is none.

    `transcript`: only of a transcription, which has it in the place of `segments`.
    """

    original_text: str
    translated_text: str
    source_language: str
    segments: tuple[TranslatedSegment, ...]
    confidence: float
    source_seconds: float  # of the caller's audio
    duration_seconds: float  # of the spoken answer
    voice_match: VoiceMatch | None
    engines: Engines
    degraded: tuple[str, ...]
    timestamps: dict[Stage, float]  # milliseconds
    processing_time_ms: float
    audio_key: str
    target_variant: str | None = None  # of the translation, where its engine tells variants apart
    provenance: tuple[Mark, ...] = ()  # the marks in the answer; none: made by a release that did not mark
    moderation: ModerationReport | None = None  # None: it is off
    transcript: Transcript | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed: what a VoiceServiceError says. `retry_after_seconds` counts from the failure."""

    code: str
    detail: str
    retryable: bool
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One translation. `input_key` names the caller's audio in storage; it is kept until the job has ended.

    A worker that does it has a lease. `fence` counts the leases: who writes with an older one than the row's is not the
    job's worker any more. `attempts` counts those that were begun and not given back.
    """

    id: str
    user_id: str
    request: JobRequest
    input_key: str
    status: JobStatus = JobStatus.PENDING
    stage: Stage | None = None
    attempts: int = 0
    result: TranslationResult | None = None
    error: JobError | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    priority: Priority = Priority.INTERACTIVE
    fence: int = 0
    cancel_requested: bool = False
    trace: Trace | None = None  # of the request that asked for it

    @property
    def ended(self) -> bool:
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED)

    def result_key(self, fence: int | None = None) -> str:
        """Where the spoken answer lies: each lease has a place of its own, so that no two workers write the same."""
        return f"results/{self.id}/{self.fence if fence is None else fence}.{self.request.output_format}"

    def retry_after_seconds(self, at: datetime | None = None) -> float | None:
        """How long to wait, from `at` (None: now), before a failed job is worth sending again. None: nobody knows."""
        if self.error is None or self.error.retry_after_seconds is None:
            return None
        passed = ((at or now()) - self.updated_at).total_seconds()
        return max(0.0, self.error.retry_after_seconds - passed)

    def require_completed(self) -> None:
        """Raises the error of a job that failed."""
        if self.error is not None:
            raise error_kind(self.error.code)(self.error.detail, retry_after_seconds=self.retry_after_seconds())


@dataclass(frozen=True, slots=True)
class VoiceProfile:
    """A stored voice. The paths are storage keys: of the recordings as sent, and of what the engine made of them.

    `duration_seconds`: speech in all recordings together. `notes`: sentences for `degraded`, what of the recordings
    could not be used; told when they are sent, and not kept.
    """

    id: str
    user_id: str
    name: str | None
    pitch_hz: float
    voice_type: VoiceType
    brightness: float
    duration_seconds: float
    embedding_path: str
    reference_audio_path: str
    consent: Consent | None = None  # None: there is none on record
    additional_audio_paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def verified(self) -> bool:
        """Whether the speaker of the recordings was heard to agree, and not only said to."""
        return self.verified_at is not None

    @property
    def verified_at(self) -> datetime | None:
        return None if self.consent is None else self.consent.verified_at

    @property
    def audio_paths(self) -> tuple[str, ...]:
        """Of every recording, the main one first."""
        return (self.reference_audio_path, *self.additional_audio_paths)


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One request that did work."""

    user_id: str
    operation: str  # translate, transcribe, clone or profile
    outcome: str  # completed, or the code of the error
    source_language: str | None = None
    target_language: str | None = None
    seconds_in: float = 0.0
    seconds_out: float = 0.0
    characters: int = 0
    at: datetime = field(default_factory=now)
    transcription_engine: str | None = None  # None, like the next two: it did nothing, or failed
    translation_engine: str | None = None
    voice_engine: str | None = None


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """A user's sums for one UTC day (ISO date)."""

    day: str
    requests: int
    seconds_in: float
    seconds_out: float
    characters: int


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to whose data. `subject` names it, such as `profile:7f3a`; `details` hold no words and no audio."""

    user_id: str
    action: str
    subject: str
    outcome: str = "completed"  # or the code of the error
    details: dict[str, str] = field(default_factory=dict)
    at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands in its user's list, newest first. The place stays when the job is gone."""

    created_at: datetime
    id: str

    @classmethod
    def of(cls, job: Job) -> "Place":
        return cls(job.created_at, job.id)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast jobs are done. `mean_seconds` is what one takes, None while none has been done; `running` at a time."""

    mean_seconds: float | None
    running: int

    def wait_seconds(self, position: int) -> float | None:
        """Until the job at this position, 1 or more, is begun: each `mean_seconds` see `running` jobs begin."""
        return None if self.mean_seconds is None else position * self.mean_seconds / max(1, self.running)


class JobViews(Protocol):
    """Reads only. All raise Overloaded and EngineUnavailable when the rows cannot be read."""

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        """The newest `most` of the user's jobs, newest first; those after a place, those in some states (none: all)."""

    async def ahead_of(self, job_id: str, most: int) -> int:
        """How many waiting jobs would be taken before this one if no more came; at most `most` are counted."""

    async def pace(self) -> Pace:
        """By the jobs that were completed last and those that are being done now."""
