"""Bodies of the voice endpoints, as API.md's contract has them: flat JSON, snake_case."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from src.api.schemas.common import (
    EncodedAudio,
    Format,
    JobProblem,
    LanguageTag,
    Milliseconds,
    Moment,
    OwnerId,
    ProfileId,
    QualityChoice,
    Seconds,
    Share,
    SourceLanguage,
    Text,
    VoiceMatch,
    example,
)
from src.api.schemas.provenance import Moderated, Provenance
from src.domain.audio import AnswerFormat, AudioFormat
from src.domain.jobs import JobStatus, Stage
from src.domain.speech import Formality, Quality
from src.services.jobs.board import LAST_POSITION


class TranslateOptions(BaseModel):
    """What an engine cannot do of `formality`, `glossary_id` and `context` is left aside, and `degraded` says so."""

    quality: QualityChoice = Quality.BALANCED
    preserve_emotion: Annotated[
        bool, Field(description="Follow this message's melody also when a profile gives the voice.")
    ] = True
    return_audio_url: bool = True
    return_base64: bool = True
    formality: Annotated[
        Formality | None,
        Field(
            description=(
                "How the translation addresses its listener, in DeepL's names. A target that has no such forms is "
                "translated without, and `degraded` says so. Null: as the service is configured."
            )
        ),
    ] = None
    glossary_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_-]+$",
            description=(
                "A glossary of the service's DeepL account. Where it does not serve the pair, the message is "
                "translated without it and `degraded` says so. Null: as the service is configured."
            ),
        ),
    ] = None
    context: Annotated[
        Text | None,
        Field(
            max_length=2000,
            description=(
                "Text in the source language, such as the message that this one answers: not translated itself, it "
                "helps DeepL to choose between meanings."
            ),
        ),
    ] = None


class Listening(BaseModel):
    """What is said about the speech in a recording."""

    source_language: SourceLanguage = None
    source_languages: Annotated[
        list[LanguageTag] | None,
        Field(min_length=1, max_length=16, description="Candidates: one or more of these are spoken."),
    ] = None
    prompt: Annotated[
        Text | None, Field(max_length=200, description="Names and rare words that may occur, for the recogniser.")
    ] = None

    @model_validator(mode="after")
    def _one_way_to_name_languages(self) -> Self:
        if self.source_language is not None and self.source_languages is not None:
            raise ValueError("give either source_language or source_languages")
        return self


class TranslateRequest(Listening):
    """`quality` and `preserve_emotion` may stand here or in `options`; here wins."""

    audio: EncodedAudio
    audio_format: Format = AudioFormat.WAV
    target_language: LanguageTag
    voice_profile_id: Annotated[ProfileId | None, Field(description="Null: speak with the voice in this audio.")] = None
    callback_url: Annotated[
        Text | None,
        Field(
            max_length=2048,
            description=(
                "Where to POST a signed message when the job has ended, as under Callbacks. https, of the public "
                "internet; only where the service has a secret to sign with."
            ),
        ),
    ] = None
    priority: Annotated[
        Literal["interactive", "batch"] | None,
        Field(
            description=(
                "Every waiting `interactive` job is begun before any `batch` job. Null: `interactive` when the caller "
                "waits for the answer, `batch` after a bare `Prefer: respond-async`. A caller that shows the job to "
                "somebody, such as an app that asks for it again and again, says `interactive`."
            )
        ),
    ] = None
    user_id: OwnerId = None
    output_format: Annotated[
        AnswerFormat,
        Field(description="Of the answer in `audio_base64` and at `audio_url`: 24 kHz, mono; `opus` in Ogg."),
    ] = AnswerFormat.WAV
    options: TranslateOptions = TranslateOptions()
    quality: QualityChoice | None = None
    preserve_emotion: bool | None = None

    model_config = example("TranslateRequest")

    @model_validator(mode="after")
    def _merge_options(self) -> Self:
        given = {"quality": self.quality, "preserve_emotion": self.preserve_emotion}
        self.options = self.options.model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )
        return self


class Timestamps(BaseModel):
    """Milliseconds that each stage took. Learning the voice runs beside transcription and translation, and the stages
    of a long message overlap: each counts from its first piece to its last.
    """

    preprocessing_ms: Milliseconds
    transcription_ms: Milliseconds
    translation_ms: Milliseconds
    voice_cloning_ms: Milliseconds
    postprocessing_ms: Milliseconds


class TranslatedSegment(BaseModel):
    start: Annotated[Moment, Field(description="Seconds in the recording that was sent.")]
    end: Moment
    text: str
    translated_text: str
    language: Annotated[str | None, Field(description="Of `text`: a message may be in several.")] = None


class Engines(BaseModel):
    transcription: str
    translation: Annotated[str, Field(description="With its route when the text passed through a third language.")]
    voice: str


class TranscribeRequest(Listening):
    audio: EncodedAudio
    audio_format: Format = AudioFormat.WAV
    user_id: OwnerId = None
    quality: QualityChoice = Quality.BALANCED

    model_config = example("TranscribeRequest")


class HeardWord(BaseModel):
    text: str
    start: Seconds
    end: Seconds
    confidence: Share


class HeardSegment(BaseModel):
    start: Seconds
    end: Seconds
    text: str
    language: Annotated[str | None, Field(description="A message may be in several.")] = None
    words: list[HeardWord]


class TranscribeResponse(BaseModel):
    text: str
    source_language: str
    language_probability: Annotated[float | None, Field(description="Null when the engine did not detect it.")]
    confidence: Share
    segments: list[HeardSegment]
    duration_seconds: Annotated[Seconds, Field(description="Of the recording that was sent.")]
    engine: str
    degraded: list[str]
    moderation: Moderated = None
    processing_time_ms: Milliseconds

    model_config = example("TranscribeResponse")


class TranslateResponse(BaseModel):
    """A job. Everything from `original_text` on is null until `status` is `completed`. One that says a text, of
    `clone`, has it as `original_text` and `translated_text`; one of `transcribe` has `transcript`, and no audio. Both
    have `none` for the engines that they did without.
    """

    job_id: str
    status: JobStatus
    stage: Annotated[Stage | None, Field(description="The step that runs now.")] = None
    position: Annotated[
        int | None,
        Field(
            ge=1,
            le=LAST_POSITION,
            description=(
                f"In the line, while `status` is `pending`: 1 is taken next, {LAST_POSITION} is that or further back. "
                "It grows when others come whose turn is before."
            ),
        ),
    ] = None
    estimated_wait_seconds: Annotated[
        float | None,
        Field(
            ge=0,
            description=(
                "Until the job is begun, while `status` is `pending`: its position times what the last jobs took, "
                "shared among those that are done at the same time. Null while there is nothing to judge by."
            ),
        ),
    ] = None
    target_language: Annotated[str | None, Field(description="Null of a job of `transcribe`.")]
    target_variant: Annotated[
        str | None,
        Field(
            description=(
                "The variant that the translation is in, such as `pt-BR`; null where the engine that translated does "
                "not tell variants apart. Until the job is completed: the one that was asked for."
            )
        ),
    ] = None
    source_language: str | None = None
    original_text: str | None = None
    translated_text: str | None = None
    audio_base64: Annotated[str | None, Field(description="WAV, 24 kHz, mono, 16-bit. Null when not asked for.")] = None
    audio_url: Annotated[str | None, Field(description="The same file at a signed address that expires.")] = None
    duration_seconds: Seconds | None = None
    voice_similarity: Share | None = None
    voice_match: VoiceMatch | None = None
    confidence: Annotated[Share | None, Field(description="Of the transcription.")] = None
    segments: list[TranslatedSegment] | None = None
    provenance: Provenance = []
    engines: Engines | None = None
    degraded: Annotated[list[str], Field(description="What was not done as asked or not by the first choice.")] = []
    moderation: Moderated = None
    processing_time_ms: Milliseconds | None = None
    timestamps: Timestamps | None = None
    transcript: Annotated[
        TranscribeResponse | None, Field(description="Of a job of `transcribe`: what the call answers in time.")
    ] = None
    error: Annotated[JobProblem | None, Field(description="Set when `status` is `failed`.")] = None
    created_at: datetime

    model_config = example("TranslateResponse")


class CloneRequest(BaseModel):
    """Give `reference_audio` or `voice_profile_id`, not both."""

    text: Annotated[Text, Field(min_length=1, max_length=5000)]
    target_language: LanguageTag
    reference_audio: EncodedAudio | None = None
    audio_format: Format = AudioFormat.WAV
    voice_profile_id: ProfileId | None = None
    user_id: OwnerId = None
    quality: QualityChoice = Quality.BALANCED
    return_audio_url: bool = True
    return_base64: bool = True

    model_config = example("CloneRequest")

    @model_validator(mode="after")
    def _one_voice(self) -> Self:
        if (self.reference_audio is None) == (self.voice_profile_id is None):
            raise ValueError("give either reference_audio or voice_profile_id")
        return self


class CloneResponse(BaseModel):
    audio_base64: str | None
    audio_url: str | None
    duration_seconds: Seconds
    target_language: str
    voice_similarity: Share
    voice_match: VoiceMatch
    provenance: Provenance = []
    engine: str
    degraded: list[str] = []
    moderation: Moderated = None
    processing_time_ms: Milliseconds

    model_config = example("CloneResponse")
