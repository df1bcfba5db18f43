"""What the embedded service writes while everything that it must not write goes through it: the short form of
`tests/security/test_logs.py`. The scaled-out one is in test_fleet.py.
"""

import json
from pathlib import Path

import httpx

from src.utils.words import words
from tests.attacks.planting import PROGRAM, Plants, Sender, encoded, settings, token, wav
from tests.conftest import service_process
from tests.recordings import audio_files

SENTENCE = "my sister will arrive at the airport tomorrow evening"


def test_no_line_holds_what_was_planted(tmp_path: Path) -> None:
    plants = Plants()
    spoken = audio_files.encode(audio_files.speech(16_000, SENTENCE), 16_000)
    plants.also("what was said", "sister will arrive")
    plants.also("its translation", "hermana")
    plants.also("the recording", encoded(spoken)[100:140])
    chosen = settings(plants) | {"TRANSLATION_ENGINES": "deepl,apertium"}
    headers = {"Authorization": f"Bearer {token(plants)}"}
    with (
        service_process(tmp_path / "data", PROGRAM, **chosen) as (url, _),
        httpx.Client(base_url=url, timeout=90, headers=headers) as http,
    ):
        sender = Sender(http, plants)
        answer = sender.translate(encoded(spoken)).raise_for_status()
        assert words(answer.json()["original_text"]) == words(SENTENCE)
        assert "hermana" in answer.json()["translated_text"]
        sender.fetch(answer)
        sender.translate(encoded(wav(plants.new("samples that are no speech"))))
        sender.voice(encoded(spoken))
        sender.mistakes()
        health = sender.send("GET", "/health").text
    log = (tmp_path / "data.log").read_text()
    assert {200, 400, 401, 404, 422} <= sender.statuses.keys()
    assert plants.found(log) == []
    assert plants.found(health) == []
    lines = [json.loads(line) for line in log.splitlines()]  # each is one object
    assert len([line for line in lines if "duration_ms" in line]) >= sum(sender.statuses.values()) - 2
