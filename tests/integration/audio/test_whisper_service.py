"""The service over HTTP on people's words: it hears with Whisper base."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest

from src.domain.audio import Samples
from src.utils.words import words, wrong_words
from tests.recordings import audio_files
from tests.recordings.people import CLEAR, RATE, spoken

BEFORE, AFTER = 0.8, 0.6
"""Seconds of quiet around a recording."""
QUALITIES = ("high", "balanced", "fast")


@pytest.fixture(scope="module")
def http(live_server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live_server, timeout=100) as client:
        yield client


def said(text: str, language: str) -> Samples:
    return spoken(text, language, BEFORE, AFTER)


def transcribe(http: httpx.Client, samples: Samples, kind: str = "wav", **fields: Any) -> httpx.Response:
    file = audio_files.encode(samples, RATE, kind)
    body = {
        "audio": base64.b64encode(file).decode(),
        "audio_format": audio_files.ENCODERS[kind][0].value,
        **fields,
    }
    return http.post("/api/v1/voice/transcribe", json=body)


@pytest.mark.parametrize(("language", "quality"), list(zip(CLEAR, QUALITIES, strict=False)))
def test_words_language_and_times_of_people(http: httpx.Client, language: str, quality: str) -> None:
    text = CLEAR[language][QUALITIES.index(quality)]
    samples = said(text, language)
    answer = transcribe(http, samples, quality=quality).raise_for_status().json()
    assert wrong_words(text, answer["text"], language) <= 1
    assert answer["source_language"] == language
    assert 0.5 < answer["language_probability"] <= 1
    assert 0.3 < answer["confidence"] <= 1
    assert (answer["engine"], answer["degraded"]) == ("whisper", [])
    assert answer["duration_seconds"] == pytest.approx(len(samples) / RATE, abs=0.01)
    check_times(answer, samples)


def check_times(answer: dict[str, Any], samples: Samples) -> None:
    """Times count from the start of the file that was sent: where the speech is, and words one after the other."""
    segments = answer["segments"]
    assert segments[0]["start"] == pytest.approx(BEFORE, abs=0.4)
    assert segments[-1]["end"] == pytest.approx(len(samples) / RATE - AFTER, abs=0.5)
    timed = [word for segment in segments for word in segment["words"]]
    assert "".join(word["text"] for word in timed).replace(" ", "") == answer["text"].replace(" ", "")
    assert all(word["start"] < word["end"] for word in timed)
    assert all(before["end"] <= after["start"] + 1e-6 for before, after in pairwise(timed))


def test_a_coded_recording_says_the_same(http: httpx.Client) -> None:
    text = CLEAR["en"][2]
    answer = transcribe(http, said(text, "en"), "aac").raise_for_status().json()
    assert words(answer["text"]) == words(text)


def test_callers_at_once_each_get_their_own_words(http: httpx.Client) -> None:
    wanted = [(CLEAR[language][0], language) for language in ("en", "es", "ru")]
    recordings = [said(text, language) for text, language in wanted]
    with ThreadPoolExecutor(len(wanted)) as callers:
        answers = list(callers.map(lambda samples: transcribe(http, samples, quality="fast").json(), recordings))
    for (text, language), answer in zip(wanted, answers, strict=True):
        assert answer["source_language"] == language
        assert wrong_words(text, answer["text"], language) <= 2
