"""Shapes that several endpoints share."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from src.domain.audio import AudioFormat
from src.domain.speech import Quality

_EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))


def example(name: str) -> ConfigDict:
    """The `model_config` of a model whose example has this name."""
    return ConfigDict(json_schema_extra={"example": _EXAMPLES[name]})


Text = Annotated[str, Field(pattern=r"^[^\u0000]*$")]
"""What callers write, to be kept: without NUL, which Postgres takes in no text, and without half a surrogate pair,
which JSON may hold (`"\\ud800"`) and a pattern refuses.
"""

LanguageTag = Annotated[
    str,
    Field(
        min_length=2,
        max_length=35,
        description=(
            "BCP-47, in any case: `es`, `pt-BR`, `zh-Hans`. Answers use the short code. A target's region or script "
            "counts for the translation: en-US, en-GB, es-ES, es-419, pt-BR, pt-PT, zh-Hans, zh-Hant, or the one of "
            "these that CLDR has nearest to it; `target_variant` in the answer says which the translation is in."
        ),
        examples=["es"],
    ),
]


def _named_language(value: object) -> object:
    undetermined = isinstance(value, str) and value.strip().lower() in ("", "auto", "und")
    return None if undetermined else value


SourceLanguage = Annotated[
    Annotated[str, Field(max_length=35)] | None,
    BeforeValidator(_named_language),
    Field(description="BCP-47. Null, or `auto`: detect it.", examples=["en"]),
]


def _text_alone(value: object) -> object:
    """Refuses what else clients make of bytes: lists of numbers, or objects that have these."""
    if not isinstance(value, str):
        raise PydanticCustomError(
            "base64_text", "send the bytes of the file as one text in base64, not as a list of numbers or anything else"
        )
    return value


EncodedAudio = Annotated[
    str,
    BeforeValidator(_text_alone),
    Field(
        min_length=1,
        description=(
            "The recording in base64: standard or URL-safe alphabet, with or without padding, with or without a "
            "`data:` prefix. At most 50 MB when decoded; 1 to 300 seconds; any channels, 8 to 192 kHz."
        ),
        examples=["UklGRiQAAABXQVZFZm10IBAAAAABAAEA…"],
    ),
]

OwnerId = Annotated[
    Text | None,
    Field(
        pattern=r"^[^\x00-\x20\x7f]{1,200}$",
        description=(
            "Whose request this is, from a caller that may act for others: without tokens any, else one with the scope "
            "`voice:service`. `X-On-Behalf-Of` does the same on every path, and has limits count for that user."
        ),
    ),
]
ProfileId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


FORMAT_NAMES = ("wav", "mp3", "m4a", "mp4", "aac", "flac", "ogg", "opus", "webm", "amr", "3gp", "caf", "auto")


def _format(value: object) -> object:
    try:
        return AudioFormat.of(value or "") if isinstance(value, str | None) else value
    except ValueError:
        raise ValueError(f"no accepted format has this name; send one of {', '.join(FORMAT_NAMES)}") from None


Format = Annotated[
    AudioFormat,
    BeforeValidator(_format),
    WithJsonSchema(
        {
            "type": ["string", "null"],
            "enum": [*FORMAT_NAMES, "", None],
            "description": "The file's container, in any case, or its media type such as `audio/mp4`. "
            "`auto`, null or nothing between the quotes: whatever the bytes are.",
        }
    ),
]
QualityChoice = Annotated[Quality, Field(description="How much time the engines may spend for a better result.")]


def _rounded(digits: int) -> BeforeValidator:
    """Of engines' measurements; before bounds are checked, as a cosine may come out at 1.0000001."""
    return BeforeValidator(lambda value: round(value, digits) if isinstance(value, float) else value)


Share = Annotated[float, Field(ge=0, le=1), _rounded(4)]
Seconds = Annotated[float, _rounded(3)]
Moment = Annotated[float, Field(ge=0), _rounded(3)]
Hertz = Annotated[float, _rounded(1)]
Milliseconds = Annotated[int, BeforeValidator(round), Field(ge=0)]
"""Whole ones: clients decode them as integers."""


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable: branch on it."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What happened, and what to do next.")]
    instance: str
    code: str
    request_id: str
    retryable: Annotated[bool, Field(description="Whether the same request may work later.")]

    model_config = example("Problem")


class JobProblem(BaseModel):
    """Why a job failed: the code and the text that the synchronous call would have answered with."""

    code: str
    title: str
    status: int
    detail: str
    retryable: bool
    retry_after_seconds: Annotated[
        float | None,
        Field(description="From this answer on, when it is known. The synchronous call has `Retry-After`."),
    ] = None


class VoiceMatch(BaseModel):
    """How near the spoken answer is to the reference voice, each 0 to 1."""

    similarity: Annotated[Share, Field(description="Cosine of speaker-verification embeddings (GE2E).")]
    pitch_agreement: Share
    timbre_agreement: Share
    heard: Annotated[
        Share | None,
        Field(
            description="Share of the words (zh, ja, ko: characters) that the recogniser hears again in the answer."
            " Null but for quality `high`."
        ),
    ] = None


class Live(BaseModel):
    status: Literal["alive"] = "alive"
