"""What live sessions are told and tell: OpenAI's realtime translation, for clients that are there, and a few fields of
ours.

What a caller sends is strict: an unknown field is an error, and does not end the session. What OpenAI's clients may
send and no engine here follows is named here, and left aside.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from src.api.schemas.common import LanguageTag, ProfileId, SourceLanguage

EventId = Annotated[str, Field(max_length=512)]
Voice = Annotated[
    ProfileId, Field(description="Ours: a profile of yours, or `speaker`: whoever speaks, which is the default.")
]
Speaker = Annotated[
    Literal["once", "always"],
    Field(
        description="Ours: whether the speaker's voice is learned from the first six seconds and kept, or all the time."
    ),
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InputTranscription(Strict):
    """Its presence asks for `session.input_transcript.delta`. `model`: any name, as there is one engine."""

    model: Annotated[str, Field(max_length=100)] = "whisper-1"
    language: Annotated[SourceLanguage, Field(description="What is spoken; null: it is detected.")] = None


class NoiseReduction(Strict):
    """Left aside."""

    type: Literal["near_field", "far_field"]
    strength: Annotated[float, Field(strict=True)] | None = None


class AudioInput(Strict):
    noise_reduction: NoiseReduction | None = None
    transcription: InputTranscription | None = None


class AudioOutput(Strict):
    language: LanguageTag | None = None
    voice: Voice | None = None
    speaker: Speaker | None = None


class SessionAudio(Strict):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class SessionChange(Strict):
    """A field that is not there stays as it is. `type` and `model` are left aside."""

    type: Literal["translation"] | None = None
    model: Annotated[str, Field(max_length=100)] | None = None
    audio: SessionAudio = SessionAudio()


class SessionUpdate(Strict):
    type: Literal["session.update"]
    session: SessionChange
    event_id: EventId | None = None


class AudioAppend(Strict):
    type: Literal["session.input_audio_buffer.append"]
    audio: Annotated[str, Field(description="PCM16, 24 kHz, mono, little-endian, in base64.")]
    event_id: EventId | None = None


class SessionClose(Strict):
    type: Literal["session.close"]
    event_id: EventId | None = None


ClientEvent = Annotated[SessionUpdate | AudioAppend | SessionClose, Field(discriminator="type")]
client_event: TypeAdapter[SessionUpdate | AudioAppend | SessionClose] = TypeAdapter(ClientEvent)


class SaidInput(BaseModel):
    noise_reduction: None = None
    transcription: InputTranscription | None


class SaidOutput(BaseModel):
    language: str | None
    voice: str
    speaker: Speaker


class SaidAudio(BaseModel):
    input: SaidInput
    output: SaidOutput


class TranslationSession(BaseModel):
    """As it is now. `expires_at`: Unix seconds."""

    id: str
    type: Literal["translation"] = "translation"
    model: str
    expires_at: int
    audio: SaidAudio


class ServerEvent(BaseModel):
    event_id: str


class SessionCreated(ServerEvent):
    type: Literal["session.created"] = "session.created"
    session: TranslationSession


class SessionUpdated(ServerEvent):
    type: Literal["session.updated"] = "session.updated"
    session: TranslationSession


class Delta(ServerEvent):
    """`elapsed_ms`: of the sound that came, where what this is about ends. `lag_ms`, ours: how much later it comes."""

    delta: str
    elapsed_ms: int
    lag_ms: int


class InputTranscriptDelta(Delta):
    type: Literal["session.input_transcript.delta"] = "session.input_transcript.delta"


class OutputTranscriptDelta(Delta):
    """`degraded`, ours: what was not done as asked."""

    type: Literal["session.output_transcript.delta"] = "session.output_transcript.delta"
    degraded: list[str]


class OutputAudioDelta(Delta):
    """`delta` is PCM16, mono, little-endian, in base64. `degraded`, ours: what of its sentence is not said."""

    type: Literal["session.output_audio.delta"] = "session.output_audio.delta"
    format: Literal["pcm16"] = "pcm16"
    sample_rate: Literal[24000] = 24000
    channels: Literal[1] = 1
    degraded: list[str]


class ErrorDetails(BaseModel):
    """`event_id`: of the caller's event that is wrong."""

    type: str
    code: str
    message: str
    param: str | None
    event_id: str | None


class ErrorEvent(ServerEvent):
    type: Literal["error"] = "error"
    error: ErrorDetails


class SessionClosed(ServerEvent):
    """`reason`, ours."""

    type: Literal["session.closed"] = "session.closed"
    reason: str


class ExpiresAfter(Strict):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(strict=True, ge=1, le=7200, description="More than 60 are taken as 60.")] = 60


class ClientSecretRequest(Strict):
    session: SessionChange
    expires_after: ExpiresAfter = ExpiresAfter()


class ClientSecret(BaseModel):
    """`value` opens one session until `expires_at`, Unix seconds."""

    value: str
    expires_at: int
    session: TranslationSession


def plain(change: SessionChange) -> dict[str, Any]:
    """What of it was given."""
    return change.model_dump(mode="json", exclude_unset=True)
