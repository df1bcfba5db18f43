"""People's words, live: the service in its own process, with Whisper and Kokoro, over a real socket."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from src.domain.audio import Audio
from src.services.live.intake import RATE as LIVE_RATE
from src.utils.audio import encode_pcm, resample
from src.utils.words import words, wrong_words
from tests.recordings.people import CLEAR, RATE, spoken

SAID = CLEAR["en"][0], CLEAR["en"][2]
SETTINGS = {"audio": {"output": {"language": "es"}, "input": {"transcription": {"model": "whisper-1"}}}}


@pytest.fixture(scope="module")
def events(live_server: str) -> list[dict[str, Any]]:
    """Of a session in which two sentences are said, with a pause between."""
    return asyncio.run(_events(live_server))


async def _events(url: str) -> list[dict[str, Any]]:
    speech = np.concatenate([spoken(text, "en", 0.4, 0.9) for text in SAID])
    pcm = encode_pcm(resample(Audio(speech, RATE), LIVE_RATE).samples)
    told: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(280),
        connect(f"{url.replace('http', 'ws')}/v1/realtime/translations", proxy=None, ping_timeout=None) as socket,
    ):
        await socket.send(json.dumps({"type": "session.update", "session": SETTINGS}))
        for start in range(0, len(pcm), 9600):
            await socket.send(pcm[start : start + 9600])
        await socket.send(json.dumps({"type": "session.close"}))
        while not told or told[-1]["type"] != "session.closed":
            told.append(json.loads(await socket.recv()))
    return told


def _joined(events: list[dict[str, Any]], kind: str) -> str:
    return "".join(event["delta"] for event in events if event["type"] == kind)


def test_each_sentence_is_heard_once_and_none_is_lost(events: list[dict[str, Any]]) -> None:
    assert [event for event in events if event["type"] == "error"] == []
    assert wrong_words(" ".join(SAID), _joined(events, "session.input_transcript.delta"), "en") <= 2
    ends = {event["elapsed_ms"] for event in events if event["type"] == "session.output_transcript.delta"}
    assert len(ends) == 2


def test_each_sentence_is_translated(events: list[dict[str, Any]]) -> None:
    translated = words(_joined(events, "session.output_transcript.delta"), "es")
    assert {"por", "favor", "llamada"} <= set(translated)


def test_the_translation_can_be_heard(events: list[dict[str, Any]]) -> None:
    pcm = b"".join(
        base64.b64decode(event["delta"]) for event in events if event["type"] == "session.output_audio.delta"
    )
    samples = np.frombuffer(pcm, "<i2") / 32768
    assert 3 < len(samples) / LIVE_RATE < 20
    assert 0.02 < float(np.sqrt(np.mean(samples**2))) < 0.5
