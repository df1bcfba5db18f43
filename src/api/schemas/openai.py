"""What OpenAI's clients send and read: the audio endpoints of its API, with a few fields of ours."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from src.api.schemas.common import LanguageTag, ProfileId, Seconds, Text

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Granularity = Literal["segment", "word"]


class OpenAiErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class OpenAiError(BaseModel):
    error: OpenAiErrorBody


class SpeechRequest(BaseModel):
    """`instructions` and other fields of OpenAI's that no engine here follows are left aside."""

    input: Annotated[Text, Field(min_length=1, max_length=4096)]
    voice: Annotated[ProfileId, Field(description="A profile of yours: `GET /v1/audio/voices` lists them.")]
    model: Annotated[str, Field(max_length=100, description="Any name: there is one engine.")] = "tts-1"
    response_format: SpeechFormat = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    language: Annotated[
        LanguageTag | None, Field(description="Ours. Null: the language that the text is recognised to be in.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _take_custom_voice(cls, values: Any) -> Any:
        """OpenAI's own custom voices are given as an object with an `id`."""
        if isinstance(values, dict) and isinstance(voice := values.get("voice"), dict):
            return {**values, "voice": voice.get("id")}
        return values


class DurationUsage(BaseModel):
    type: Literal["duration"] = "duration"
    seconds: int


class Transcription(BaseModel):
    text: str
    usage: DurationUsage
    degraded: Annotated[list[str], Field(description="Ours: what of the recording was left out, or is not sure.")]


class VerboseWord(BaseModel):
    word: str
    start: Seconds
    end: Seconds


class VerboseSegment(BaseModel):
    """`tokens` is empty, and `temperature` and `no_speech_prob` are 0: the engine decides by other measures."""

    id: int
    seek: int = 0
    start: Seconds
    end: Seconds
    text: str
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float = 0.0


class VerboseTranscription(BaseModel):
    task: Literal["transcribe", "translate"]
    language: Annotated[str, Field(description="Its English name.", examples=["spanish"])]
    duration: Seconds
    text: str
    segments: list[VerboseSegment] | None = None
    words: list[VerboseWord] | None = None
    usage: DurationUsage
    degraded: list[str]


class Voice(BaseModel):
    id: str
    object: Literal["audio.voice"] = "audio.voice"
    name: str | None
    created_at: int


class VoiceList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Voice]


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]
