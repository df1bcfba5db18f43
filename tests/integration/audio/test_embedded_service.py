"""The main job as a stranger runs it: the service in its own process, on the embedded engines, over HTTP."""

import base64
import io
import wave
from typing import Any

import httpx
import numpy as np
import pytest

from src.domain.audio import Audio
from src.models.speaker_analysis import SpeakerAnalysis
from src.utils.words import wrong_words
from tests.recordings import audio_files
from tests.recordings.people import CLEAR, RATE, spoken
from tests.support.messages import CONSENT

SENTENCE = "my sister will arrive at the airport tomorrow evening"


def _body(text: str = SENTENCE, kind: str = "wav", sample_rate: int = 16_000, **more: object) -> dict[str, Any]:
    audio = audio_files.encode(audio_files.speech(sample_rate, text), sample_rate, kind)
    return {
        "audio": base64.b64encode(audio).decode(),
        "audio_format": audio_files.ENCODERS[kind][0],
        "target_language": "es",
    } | more


def _translate(url: str, body: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(f"{url}/api/v1/voice/translate", json=body, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _heard(answer: dict[str, Any]) -> Audio:
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_base64"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return Audio((samples / 32768).astype(np.float32), 24_000)


@pytest.fixture(scope="module")
def answer(live_server: str) -> dict[str, Any]:
    return _translate(live_server, _body())


def test_the_sentence_is_heard_and_translated(answer: dict[str, Any]) -> None:
    assert wrong_words(SENTENCE, answer["original_text"], "en") <= 1
    assert "hermana" in answer["translated_text"]
    assert answer["source_language"] == "en"


def test_the_answer_can_be_heard(answer: dict[str, Any]) -> None:
    audio = _heard(answer)
    assert audio.duration_seconds == pytest.approx(answer["duration_seconds"], abs=0.01)
    assert 1.5 < audio.duration_seconds < 10
    peak, level = float(np.abs(audio.samples).max()), float(np.sqrt(np.mean(audio.samples**2)))
    assert 0.3 < peak < 1.0
    assert 0.03 < level < 0.5


def test_the_similarity_in_the_answer_is_the_one_measured_afresh(answer: dict[str, Any]) -> None:
    analysis = SpeakerAnalysis()
    reference = analysis.analyze(Audio(audio_files.speech(16_000, SENTENCE), 16_000))
    spoken = analysis.analyze(_heard(answer))
    cosine = sum(a * b for a, b in zip(reference.embedding, spoken.embedding, strict=True))
    assert cosine == pytest.approx(answer["voice_similarity"], abs=0.08)
    assert answer["voice_similarity"] > 0.6
    assert spoken.pitch_hz == pytest.approx(reference.pitch_hz, rel=0.12)


def _clone(url: str, text: str, language: str) -> httpx.Response:
    audio = audio_files.encode(audio_files.speech(16_000, SENTENCE), 16_000)
    body = {"text": text, "target_language": language, "reference_audio": base64.b64encode(audio).decode()}
    return httpx.post(f"{url}/api/v1/voice/clone", json=body, timeout=60)


@pytest.mark.parametrize(
    ("language", "text", "seconds", "unsaid"),
    [
        ("en", "We’ll need 10–15 people at £5; 王伟 comes, too.", 3.5, ""),
        ("en", "Привет, как дела?", 0.8, ""),
        ("es", "¡Hola! 🎉 Son 1.234,56 ₽.", 3.0, "🎉"),
        ("ja", "これは①番です。", 1.0, ""),
    ],
)
def test_all_of_a_text_is_spoken_and_what_cannot_be_is_named(
    live_server: str, language: str, text: str, seconds: float, unsaid: str
) -> None:
    answer = _clone(live_server, text, language).json()
    assert _heard(answer).duration_seconds > seconds
    assert answer["degraded"] == ([f"What cannot be spoken was left out: {unsaid}"] if unsaid else [])


@pytest.mark.parametrize("text", ["🎉 …", "***", "？！"])
def test_a_text_of_which_nothing_can_be_said_is_refused(live_server: str, text: str) -> None:
    refused = _clone(live_server, text, "en")
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
    assert refused.json()["detail"].startswith("text: ")


def test_pairs_that_are_listed_work(live_server: str) -> None:
    """One of each length of the route."""
    pairs = httpx.get(f"{live_server}/api/v1/languages", timeout=60).json()["pairs"]
    assert {"es", "fr", "pt", "it"} <= {pair["target"] for pair in pairs if pair["source"] == "en"}
    of_people = [pair for pair in pairs if pair["source"] in CLEAR]
    for pair in {len(pair["route"]): pair for pair in of_people}.values():
        message = audio_files.encode(spoken(CLEAR[pair["source"]][1], pair["source"]), RATE)
        body = {"audio": base64.b64encode(message).decode(), "quality": "fast", "options": {"return_base64": False}}
        answer = _translate(live_server, body | {"source_language": pair["source"], "target_language": pair["target"]})
        assert answer["translated_text"], pair
        assert answer["translated_text"] != answer["original_text"], pair
        assert [note for note in answer["degraded"] if "does not know" not in note] == []
        if len(pair["route"]) > 2:
            assert ">".join(pair["route"]) in answer["engines"]["translation"]


def test_a_profile_of_two_recordings_speaks_later_messages_with_its_melody_or_with_theirs(
    live_server: str, answer: dict[str, Any]
) -> None:
    texts = (SENTENCE, "Two trains leave the old station every hour, and both are usually full.")
    recordings = [audio_files.encode(audio_files.speech(16_000, text, "slt"), 16_000) for text in texts]
    first, second = (base64.b64encode(recording).decode() for recording in recordings)
    body = {
        "reference_audio": first,
        "additional_references": [second],
        "consent": CONSENT,
    }
    profile = httpx.post(f"{live_server}/api/v1/voice/profile", json=body, timeout=60).json()
    assert profile["voice_characteristics"]["pitch_hz"] > 140
    assert profile["duration_seconds"] > 6
    analysis = SpeakerAnalysis()
    plain = analysis.analyze(_heard(answer))
    own, lent = (
        _translate(live_server, _body(voice_profile_id=profile["profile_id"], options={"preserve_emotion": follow}))
        for follow in (False, True)
    )
    assert analysis.analyze(_heard(own)).pitch_hz > 1.25 * plain.pitch_hz
    assert analysis.analyze(_heard(lent)).pitch_hz == pytest.approx(plain.pitch_hz, rel=0.1)
    # The voice is the profile's all the same.
    assert lent["voice_match"]["timbre_agreement"] == pytest.approx(own["voice_match"]["timbre_agreement"], abs=0.1)
