"""Bodies of the endpoints of voice profiles."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from src.api.schemas.common import EncodedAudio, Format, ProfileId, Text
from src.api.schemas.examples import PROFILE, PROFILE_REQUEST
from src.domain.audio import AudioFormat
from src.domain.speech import VoiceType
from src.services.profiles import MAX_ADDITIONAL_REFERENCES


class ConsentRequest(BaseModel):
    """The speaker's agreement to have this voice cloned. Without `given: true` the answer is 403 `consent_required`."""

    given: bool
    statement: Annotated[Text, Field(min_length=1, max_length=2000, description="The sentence that was agreed to.")]
    recorded_at: datetime


class ProfileRequest(BaseModel):
    """Create a profile, or replace the voice of the one named by `profile_id`."""

    reference_audio: EncodedAudio
    additional_references: Annotated[
        list[EncodedAudio],
        Field(
            max_length=MAX_ADDITIONAL_REFERENCES,
            description="More recordings of the same voice, in the same format. All together: at most 300 s of speech.",
        ),
    ] = []
    audio_format: Format = AudioFormat.WAV
    name: Annotated[Text | None, Field(max_length=200)] = None
    user_id: Annotated[
        Text | None, Field(max_length=200, description="Another user, for callers with the scope `voice:service`.")
    ] = None
    profile_id: ProfileId | None = None
    consent: ConsentRequest | None = None

    model_config = ConfigDict(json_schema_extra={"example": PROFILE_REQUEST})


class VoiceCharacteristics(BaseModel):
    pitch_hz: Annotated[float, Field(description="Median of voiced frames.")]
    voice_type: VoiceType
    brightness: Annotated[float, Field(ge=0, le=1)]


class ProfileResponse(BaseModel):
    profile_id: str
    name: str | None
    user_id: str
    voice_characteristics: VoiceCharacteristics
    duration_seconds: Annotated[float, Field(description="Speech in the references, after trimming.")]
    embedding_cached: Annotated[bool, Field(description="Whether the voice is stored, ready to speak with.")]
    created_at: datetime
    updated_at: datetime

    model_config = ConfigDict(json_schema_extra={"example": PROFILE})


class ProfileList(BaseModel):
    profiles: list[ProfileResponse]
