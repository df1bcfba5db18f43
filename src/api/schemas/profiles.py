"""Bodies of the endpoints of voice profiles."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from src.api.schemas.common import (
    EncodedAudio,
    Format,
    Hertz,
    LanguageTag,
    OwnerId,
    ProfileId,
    Seconds,
    Share,
    Text,
    example,
)
from src.domain.audio import AudioFormat
from src.domain.consent import ConsentMethod
from src.domain.speech import VoiceType
from src.services.profiles.profiles import MAX_ADDITIONAL_REFERENCES


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


class ConsentRequest(BaseModel):
    """The speaker's agreement to have this voice cloned. With `given` false the answer is 403 `consent_required`."""

    given: bool
    statement: Annotated[Text, Field(min_length=1, max_length=2000, description="The sentence that was agreed to.")]
    recorded_at: Annotated[
        AwareDatetime,
        AfterValidator(_in_utc),
        Field(description="When the speaker agreed, with the offset from UTC; not in the future."),
    ]


class ChallengeRequest(BaseModel):
    """Which sentence to make, and for whom."""

    language: Annotated[
        LanguageTag | None,
        Field(description="One that this service's recogniser hears. Null: the first of these in `/languages`."),
    ] = None
    user_id: OwnerId = None

    model_config = example("ChallengeRequest")


class ChallengeResponse(BaseModel):
    """A sentence for the speaker to read out. It can be answered once, by its user, until `expires_at`."""

    challenge_id: str
    sentence: str
    language: str
    expires_at: datetime

    model_config = example("ChallengeResponse")


class Verification(BaseModel):
    """The recording of a challenge's sentence. Once it can be decoded, it uses the challenge up, right or wrong."""

    challenge_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    audio: EncodedAudio
    audio_format: Format = AudioFormat.WAV


class VerificationRequest(Verification):
    """As `verification` of a new profile, for one that is there."""

    user_id: OwnerId = None

    model_config = example("VerificationRequest")


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
    user_id: OwnerId = None
    profile_id: ProfileId | None = None
    consent: Annotated[
        ConsentRequest | None,
        Field(
            description=(
                "Null: no consent is on record, and `degraded` says so. Where the service requires one "
                "(PROFILE_CONSENT), and with `verification`, the answer is then 403 `consent_required`."
            )
        ),
    ] = None
    verification: Annotated[
        Verification | None,
        Field(
            description=(
                "The speaker says the sentence of a challenge, with the same microphone as the references: then the "
                "profile is `verified`. Where the service wants that of all profiles, one without gets 403 "
                "`consent_required`; other words, or another voice, 422 `verification_failed`."
            )
        ),
    ] = None

    model_config = example("ProfileRequest")


class NameRequest(BaseModel):
    """Another name for a profile; its voice and consent stay."""

    name: Annotated[Text, Field(min_length=1, max_length=200)]

    model_config = example("NameRequest")


class VoiceCharacteristics(BaseModel):
    pitch_hz: Annotated[Hertz, Field(description="Median of voiced frames.")]
    voice_type: VoiceType
    brightness: Share


class ConsentResponse(BaseModel):
    """The agreement under which the voice is kept. Deleting the profile withdraws it."""

    statement: str
    recorded_at: Annotated[datetime, Field(description="When the speaker agreed, as the caller said.")]
    received_at: Annotated[datetime, Field(description="When the service was told, by its own clock.")]
    method: Annotated[
        ConsentMethod,
        Field(
            description=(
                "`declared`: the caller says that the speaker agreed. `spoken_challenge`: besides, the same voice said "
                "a sentence that the service had made just before."
            )
        ),
    ]


class ProfileResponse(BaseModel):
    profile_id: str
    name: str | None
    user_id: str
    voice_characteristics: VoiceCharacteristics
    duration_seconds: Annotated[Seconds, Field(description="Speech in the references, after trimming.")]
    embedding_cached: Annotated[bool, Field(description="Whether the voice is stored, ready to speak with.")]
    created_at: datetime
    updated_at: datetime
    consent: Annotated[ConsentResponse | None, Field(description="Null: none is on record.")]
    verified: Annotated[bool, Field(description="Whether the consent is by `spoken_challenge`.")]
    verified_at: datetime | None
    degraded: Annotated[
        list[str],
        Field(
            description=(
                "What this profile lacks, such as a consent on record; and, in the answer to the request that saved "
                "it, what of the recordings could not be used."
            )
        ),
    ] = []

    model_config = example("ProfileResponse")


class ProfileList(BaseModel):
    profiles: list[ProfileResponse]
