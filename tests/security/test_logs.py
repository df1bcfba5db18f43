"""Secrets and words planted in the traffic of whole services, and looked for in every line of their logs."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from src.utils.words import words
from tests.attacks.planting import PROGRAM, Plants, Sender, encoded, settings, token, wav
from tests.conftest import service_process
from tests.fakes.stand_in import Message
from tests.recordings import audio_files
from tests.servers.fleet import fleet
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.reporting import either, say

pytestmark = pytest.mark.timeout(1800)

SENTENCES = (
    "my sister will arrive at the airport tomorrow evening",
    "Two trains leave the old station every hour, and both are usually full.",
)
ROUNDS = either(10, 1)
FAILURES = ("", "defect", "no_speech_detected", "audio_undecodable", "overloaded", "deadline_exceeded")
CALLERS = either(4, 1)


def told(capsys: pytest.CaptureFixture[str], what: str, log: str, senders: list[Sender], plants: Plants) -> None:
    statuses: dict[int, int] = {}
    for sender in senders:
        for status, count in sender.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    say(
        capsys,
        f"{what}: {len(log.splitlines())} lines of log searched for {len(plants.words)} planted secrets and words,"
        f" {len(plants.found(log))} found;"
        f" {sum(statuses.values())} requests, by status {dict(sorted(statuses.items()))}",
    )
    assert plants.found(log) == []
    assert {200, 400, 404, 422} <= statuses.keys()
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())


def test_the_embedded_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plants = Plants()
    chosen = settings(plants) | {"TRANSLATION_ENGINES": "deepl,apertium"}
    kinds = ("wav", "mp3", "flac")
    senders = []
    with service_process(tmp_path / "data", PROGRAM, **chosen) as (url, _):
        for number in range(ROUNDS):
            headers = {"Authorization": f"Bearer {token(plants, f'user{number}')}"}
            sentence, kind = SENTENCES[number % len(SENTENCES)], kinds[number % len(kinds)]
            spoken = encoded(audio_files.encode(audio_files.speech(16_000, sentence), 16_000, kind))
            plants.also(f"what was said in round {number}", sentence[4:24])
            plants.also(f"the recording of round {number}", spoken[200:240])
            with httpx.Client(base_url=url, timeout=120, headers=headers) as http:
                sender = Sender(http, plants)
                senders.append(sender)
                answer = sender.translate(spoken, audio_format=kind).raise_for_status()
                assert words(answer.json()["original_text"]) == words(sentence)
                plants.also(f"the translation of round {number}", answer.json()["translated_text"])
                sender.fetch(answer)
                sender.send("POST", "/api/v1/voice/transcribe", json={"audio": spoken, "audio_format": kind})
                sender.translate(encoded(wav(plants.new(f"samples of round {number}"))))
                if kind == "wav":
                    sender.voice(spoken)
                sender.mistakes()
                health = sender.send("GET", "/health").text
    assert plants.found(health) == []
    told(capsys, "embedded", (tmp_path / "data.log").read_text(), senders, plants)


def test_processes_over_postgres_and_redis(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    plants = Plants()
    for name in ("redis", "fleet"):
        (tmp_path / name).mkdir()
    with (
        RedisServer(tmp_path / "redis", durable=True) as redis,
        fleet(tmp_path / "fleet", postgres, redis, workers=2, LOG_LEVEL="debug", JOB_CONCURRENCY="2") as made,
    ):
        plants.also("the storage key", made.environment["STORAGE_KEYS"])

        def call(number: int) -> Sender:
            with httpx.Client(base_url=made.url, timeout=120) as http:
                sender = Sender(http, plants)
                for index in range(ROUNDS):
                    for fails in FAILURES:
                        words = plants.new(f"message {number}.{index} that ends with {fails or 'an answer'}")
                        sender.fetch(sender.translate(Message(words, fails=fails).encode(), callback_url=None))
                    sender.voice(Message(plants.new(f"a recording {number}.{index}")).encode())
                sender.mistakes()
                return sender

        with ThreadPoolExecutor(CALLERS) as pool:
            senders = list(pool.map(call, range(CALLERS)))
        made.kill(made.workers[0])
        made.start_workers(1)
        log = "".join(made.log(process) for process in made.processes)
    told(capsys, "scaled out", log, senders, plants)
