"""Real answers, decoded as strictly as Swift's Codable and Kotlin's serialization do: an Int is whole and has 32 bits,
a field that is not optional is there and not null. The README's models are read from it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tests.conftest import ROOT
from tests.fakes.engines import serve
from tests.support import messages
from tests.support.messages import AUDIO

MESSAGE = messages.MESSAGE | {"audio_format": "wav"}

Int = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Double = Annotated[float, Field(allow_inf_nan=False)]
_TYPES: dict[str, Any] = {"String": str, "Int": Int, "Double": Double, "Boolean": bool, "Bool": bool}

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """What it does not name is passed over, as by default in Swift."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Timestamps(Strict):
    preprocessing_ms: Int
    transcription_ms: Int
    translation_ms: Int
    voice_cloning_ms: Int
    postprocessing_ms: Int


class Translation(Strict):
    job_id: str
    status: str
    original_text: str
    translated_text: str
    source_language: str
    target_language: str
    audio_base64: str
    audio_url: str
    duration_seconds: Double
    voice_similarity: Double
    processing_time_ms: Int
    timestamps: Timestamps


class Accepted(Strict):
    job_id: str
    status: str


class Summary(Strict):
    job_id: str
    processing_time_ms: Int
    duration_seconds: Double


class Summaries(Strict):
    jobs: list[Summary]


class Transcription(Strict):
    text: str
    source_language: str
    confidence: Double
    duration_seconds: Double
    processing_time_ms: Int


class Speech(Strict):
    audio_base64: str
    audio_url: str
    duration_seconds: Double
    target_language: str
    voice_similarity: Double
    processing_time_ms: Int


class Characteristics(Strict):
    pitch_hz: Double
    voice_type: str
    brightness: Double


class Profile(Strict):
    profile_id: str
    voice_characteristics: Characteristics
    duration_seconds: Double
    embedding_cached: bool


class Profiles(Strict):
    profiles: list[Profile]


class Language(Strict):
    code: str
    name: str
    native_name: str


class Languages(Strict):
    languages: list[Language]


class Health(Strict):
    status: str
    service: str


class Day(Strict):
    day: str
    requests: Int
    seconds_in: Double
    characters: Int


class Usage(Strict):
    user_id: str
    days: list[Day]


class Problem(Strict):
    type: str
    title: str
    status: Int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serve(tmp_path_factory.mktemp("clients"), min_reference_seconds=1) as client:
        yield client


def decoded(model: type[M], answer: httpx.Response, status: int = 200) -> M:
    assert answer.status_code == status, answer.text
    return model.model_validate_json(answer.content)


def of_readme(language: str, field: str) -> type[Strict]:
    """The README's model in this language; `field` finds a name and its type."""
    block = re.search(rf"^```{language}\n(.*?)^```", Path(ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block
    head = re.search(r"(?:struct|data class) Translation\b[^{(]*[{(](.*?)^[})]", block[1], re.MULTILINE | re.DOTALL)
    assert head
    fields: dict[str, Any] = {name: (_TYPES[kind], ...) for name, kind in re.findall(field, head[1])}
    return create_model("Translation", __base__=Strict, **fields)


@pytest.mark.parametrize(("language", "field"), [("swift", r"(\w+): (\w+)"), ("kotlin", r"val (\w+): (\w+)")])
def test_the_readmes_models_decode_a_translation(http: httpx.Client, language: str, field: str) -> None:
    model = of_readme(language, field)
    assert set(model.model_fields) == set(Translation.model_fields) - {"audio_url", "timestamps"}
    assert model.model_fields["processing_time_ms"].annotation is int
    decoded(model, http.post("/api/v1/voice/translate", json=MESSAGE))


def test_a_translation_is_decoded_from_the_call_the_job_the_list_and_the_envelope(http: httpx.Client) -> None:
    made = decoded(Translation, http.post("/api/v1/voice/translate", json=MESSAGE))
    assert decoded(Translation, http.get(f"/api/v1/voice/translate/{made.job_id}")).audio_base64 == made.audio_base64
    decoded(Summaries, http.get("/api/v1/voice/jobs"))
    wrapped = {"Accept": "application/vnd.voice.envelope+json"}
    envelope = create_model("Envelope", __base__=Strict, success=(bool, ...), data=(Translation, ...))
    decoded(envelope, http.post("/api/v1/voice/translate", json=MESSAGE, headers=wrapped))
    later = http.post("/api/v1/voice/translate", json=MESSAGE, headers={"Prefer": "respond-async"})
    decoded(Accepted, later, 202)


def test_the_other_answers_are_decoded(http: httpx.Client) -> None:
    decoded(Transcription, http.post("/api/v1/voice/transcribe", json={"audio": AUDIO}))
    made = decoded(Profile, http.post("/api/v1/voice/profile", json={"reference_audio": AUDIO, "audio_format": "wav"}))
    decoded(Profile, http.get(f"/api/v1/voice/profile/{made.profile_id}"))
    decoded(Profiles, http.get("/api/v1/voice/profiles"))
    text = {"text": "Good.", "target_language": "es"}
    decoded(Speech, http.post("/api/v1/voice/clone", json=text | {"voice_profile_id": made.profile_id}))
    decoded(Speech, http.post("/api/v1/voice/clone", json=text | {"reference_audio": AUDIO}))
    decoded(Translation, http.post("/api/v1/voice/translate", json=MESSAGE | {"voice_profile_id": made.profile_id}))
    decoded(Languages, http.get("/api/v1/languages"))
    decoded(Health, http.get("/health"))
    decoded(Usage, http.get("/api/v1/usage"))
    decoded(Problem, http.post("/api/v1/voice/translate", json={}), 422)


@pytest.mark.parametrize("wrong", ["3818.36", '"3818"', "null", "3000000000"])
def test_the_models_are_strict(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Summary.model_validate_json(f'{{"job_id": "a", "duration_seconds": 1, "processing_time_ms": {wrong}}}')
