"""The service with Whisper chosen by a setting, over HTTP: real words, of renderings that its network never heard."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest

from scripts.checkpoints.spoken_sentences import SAMPLE_RATE, SENTENCES, held_out_voices, render
from src.domain.audio import Samples
from tests.checkpoints.whisper_checkpoint import trained_checkpoint
from tests.conftest import service_process
from tests.recordings import audio_files

BEFORE, AFTER = 0.8, 0.6
"""Seconds of quiet around a rendering."""
QUALITIES = ("fast", "balanced", "high")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = {"TRANSCRIPTION_ENGINE": "whisper", "WHISPER_MODEL": str(trained_checkpoint()), "DEVICE": "cpu"}
    data = tmp_path_factory.mktemp("whisper") / "data"
    with service_process(data, **settings) as (url, _), httpx.Client(base_url=url, timeout=100) as client:
        yield client


def spoken(text: str, language: str, voice: int = 0) -> Samples:
    said = render(text, held_out_voices(language)[voice])
    return np.pad(said, (round(BEFORE * SAMPLE_RATE), round(AFTER * SAMPLE_RATE)))


def transcribe(http: httpx.Client, samples: Samples, kind: str = "wav", **fields: Any) -> httpx.Response:
    file = audio_files.encode(samples, SAMPLE_RATE, kind)
    body = {
        "audio": base64.b64encode(file).decode(),
        "audio_format": audio_files.ENCODERS[kind][0].value,
        **fields,
    }
    return http.post("/api/v1/voice/transcribe", json=body)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("language", list(SENTENCES))
def test_words_language_and_times_of_renderings_it_never_heard(http: httpx.Client, language: str, quality: str) -> None:
    """Each quality hears other sentences, so that together they hear all of them."""
    for number, text in list(enumerate(SENTENCES[language]))[QUALITIES.index(quality) :: len(QUALITIES)]:
        samples = spoken(text, language, number % 2)
        answer = transcribe(http, samples, quality=quality).raise_for_status().json()
        assert (answer["text"], answer["source_language"]) == (text, language)
        assert 0.5 < answer["language_probability"] <= 1
        assert 0.5 < answer["confidence"] <= 1
        assert (answer["engine"], answer["degraded"]) == ("whisper", [])
        assert answer["duration_seconds"] == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.01)
        check_times(answer, samples)


def check_times(answer: dict[str, Any], samples: Samples) -> None:
    """Times count from the start of the file that was sent: where the speech is, and words one after the other."""
    segments = answer["segments"]
    assert segments[0]["start"] == pytest.approx(BEFORE, abs=0.3)
    assert segments[-1]["end"] == pytest.approx(len(samples) / SAMPLE_RATE - AFTER, abs=0.35)
    words = [word for segment in segments for word in segment["words"]]
    assert "".join(word["text"] for word in words).replace(" ", "") == answer["text"].replace(" ", "")
    assert all(word["start"] < word["end"] for word in words)
    assert all(before["end"] <= after["start"] + 1e-6 for before, after in pairwise(words))


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac"])
def test_a_coded_recording_says_the_same(http: httpx.Client, kind: str) -> None:
    text = SENTENCES["en"][2]
    assert transcribe(http, spoken(text, "en"), kind).raise_for_status().json()["text"] == text


def test_callers_at_once_each_get_their_own_words(http: httpx.Client) -> None:
    wanted = [(text, language) for language, texts in SENTENCES.items() for text in texts[:3]]
    recordings = [spoken(text, language) for text, language in wanted]
    with ThreadPoolExecutor(len(wanted)) as callers:
        answers = list(callers.map(lambda samples: transcribe(http, samples, quality="fast").json(), recordings))
    assert [(answer["text"], answer["source_language"]) for answer in answers] == wanted


def test_a_message_is_translated_from_what_whisper_heard(http: httpx.Client) -> None:
    """What the page sends: no source language, and the whole way to another language's voice."""
    text = "My brother lives in a small house by the river."
    file = audio_files.encode(spoken(text, "en"), SAMPLE_RATE)
    body = {"audio": base64.b64encode(file).decode(), "audio_format": "wav", "target_language": "es"}
    answer = http.post("/api/v1/voice/translate", json=body).raise_for_status().json()
    assert (answer["status"], answer["original_text"], answer["source_language"]) == ("completed", text, "en")
    assert "hermano" in answer["translated_text"]
    assert answer["engines"]["transcription"] == "whisper"
    assert answer["segments"][0]["start"] == pytest.approx(BEFORE, abs=0.3)
    assert len(base64.b64decode(answer["audio_base64"])) > 24_000
