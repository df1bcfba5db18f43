"""Bodies about the marks that say that speech is synthetic."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from src.api.schemas.common import EncodedAudio, Format, Seconds, Share, example
from src.domain.audio import AudioFormat
from src.domain.moderation import ReviewStage, Severity


class C2paMark(BaseModel):
    """A signed manifest (Content Credentials) in the file: it says that a model made the sound, and when."""

    kind: Literal["c2pa"] = "c2pa"
    manifest: Annotated[str, Field(description="Its URN.")]
    signer: Annotated[str, Field(description="The name in the certificate.")]
    self_signed: Annotated[bool, Field(description="The service made the certificate itself: nobody else knows it.")]


class InfoMark(BaseModel):
    """Fields of the file's RIFF INFO list, which players show."""

    kind: Literal["riff_info"] = "riff_info"
    fields: dict[str, str]


class WatermarkMark(BaseModel):
    """An inaudible watermark in the sound."""

    kind: Literal["watermark"] = "watermark"
    model: str
    message: Annotated[str, Field(description="16 bits, hexadecimal, that name this deployment.")]


class TagMark(BaseModel):
    """The file's comment says that it is synthetic. Anyone could write or remove it."""

    kind: Literal["tag"] = "tag"
    comment: str


ProvenanceMark = Annotated[C2paMark | InfoMark | TagMark | WatermarkMark, Field(discriminator="kind")]

Provenance = Annotated[
    list[ProvenanceMark],
    Field(description="The marks of synthetic speech that are really in the audio. Empty: an older answer."),
]


class DetectRequest(BaseModel):
    audio: EncodedAudio
    audio_format: Format = AudioFormat.WAV

    model_config = example("DetectRequest")


class C2paFound(BaseModel):
    """What the file says of itself in `manifest`, `signer`, `issued_at`, `software` and `source_type` is as true as its
    signer is trusted."""

    found: bool
    valid: Annotated[bool, Field(description="The signature is right, and the file is as it was when it was signed.")]
    trusted: Annotated[bool, Field(description="Valid, and signed by this deployment or by an issuer that it trusts.")]
    ours: Annotated[bool, Field(description="Valid, and signed by this deployment.")]
    changed: Annotated[bool, Field(description="The sound, the file's fields or the manifest were changed since.")]
    manifest: str | None
    signer: str | None
    issued_at: Annotated[
        str | None, Field(description="As a timestamp authority attests, else as the manifest says. ISO 8601.")
    ]
    software: str | None
    source_type: Annotated[str | None, Field(description="How the sound came about: IPTC's digital source type.")]
    statuses: Annotated[
        list[str], Field(description="The C2PA specification's codes of all that was checked; failures come first.")
    ]


class InfoFound(BaseModel):
    found: Annotated[bool, Field(description="It says that the speech is synthetic, in the words of this service.")]
    fields: Annotated[dict[str, str], Field(description="Those of the INFO list that this service writes, too.")]


class WatermarkFound(BaseModel):
    """Without a detector `checked` is false and the rest null."""

    checked: bool
    found: bool | None = None
    model: str | None = None
    probability: Annotated[Share | None, Field(description="The share of the sound that has it.")] = None
    message: Annotated[str | None, Field(description="16 bits, hexadecimal. Noise where nothing was found.")] = None
    ours: Annotated[bool | None, Field(description="The message is this deployment's.")] = None


class DetectResponse(BaseModel):
    synthetic: Annotated[
        bool | None,
        Field(description="As far as marks prove it; null: they do not. That there is no mark proves nothing."),
    ]
    reason: str
    c2pa: C2paFound
    riff_info: InfoFound
    watermark: WatermarkFound
    duration_seconds: Seconds

    model_config = example("DetectResponse")


Flagged = Annotated[bool | None, Field(description="Whether something was found; null where nobody looked.")]
Categories = Annotated[list[str], Field(description="Of which kind it is, such as `profanity`.", examples=[[]])]


class ModeratedStage(BaseModel):
    flagged: Flagged
    categories: Categories
    severity: Annotated[Severity | None, Field(description="Of the worst that was found.")]
    reviewed_by: Annotated[list[str], Field(description="Those of `engines` that looked at it.")]


class Moderation(BaseModel):
    """Under the policy `block` nothing is answered in which something was found: that is 422 `content_blocked`."""

    policy: Literal["flag", "block"]
    flagged: Flagged
    categories: Categories
    stages: Annotated[
        dict[ReviewStage, ModeratedStage],
        Field(description="By text: `transcript` and `translation`, or the `text` that was to be spoken."),
    ]
    engines: Annotated[list[str], Field(description="Who looks at texts here, in order.")]


Moderated = Annotated[Moderation | None, Field(description="Null where this service does not moderate.")]
