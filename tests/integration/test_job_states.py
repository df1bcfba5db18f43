"""What a job's caller sees of it over HTTP, on fake engines: who is served first, and how far it is."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.bootstrap_engines import Engines
from src.config.settings import Settings
from src.main import create_app
from tests.conftest import serving
from tests.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeTranslator, FakeVoice, Gate

AUDIO = base64.b64encode(b"any bytes: the decoder is a fake").decode()
BODY: dict[str, Any] = {"audio": AUDIO, "target_language": "es", "source_language": "en"}
ASYNC = {"Prefer": "respond-async"}
PATIENCE_SECONDS = 20.0


class OneSlot:
    """A service that does one job at a time. Its transcriber notes whose job it hears, and may be held."""

    def __init__(self, http: httpx.Client, transcriber: FakeTranscriber, voice: FakeVoice) -> None:
        self.http = http
        self.transcriber, self.voice = transcriber, voice

    def send(self, headers: dict[str, str] | None = None, **changes: object) -> dict[str, Any]:
        response = self.http.post("/api/v1/voice/translate", json=BODY | changes, headers=headers or ASYNC)
        assert response.status_code == 202, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/api/v1/voice/job/{job_id}").json()
        return answer

    def status(self, *jobs: dict[str, Any]) -> list[str]:
        return [self.job(job["job_id"])["status"] for job in jobs]


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[OneSlot]:
    """Both engines are held from the start."""
    transcriber, voice = FakeTranscriber(gate=Gate()), FakeVoice(gate=Gate())
    engines = Engines(FakeDecoder(), transcriber, (FakeTranslator(),), voice, FakeAnalyzer(), runners={})
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", sync_timeout_seconds=0.2, job_concurrency=1)
    with serving(create_app(settings, engines)) as url, httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as http:
        yield OneSlot(http, transcriber, voice)


def spoken_in(slot: OneSlot) -> list[str]:
    """The languages of the jobs, in the order in which they were done."""
    return [request.language for request in slot.voice.requests]


def let_all_through(slot: OneSlot) -> None:
    slot.transcriber.gate.opened.set()
    slot.voice.gate.opened.set()


def test_a_backlog_of_batches_does_not_delay_who_waits(slot: OneSlot) -> None:
    slot.send(target_language="es")
    until(lambda: slot.transcriber.gate.inside)
    backlog = [slot.send(target_language="es") for _ in range(4)]
    waiting = slot.send({"Prefer": "wait=0.2"}, target_language="fr")
    assert slot.status(waiting, *backlog) == ["pending"] * 5
    let_all_through(slot)
    until(lambda: slot.status(*backlog) == ["completed"] * 4)
    assert spoken_in(slot) == ["es", "fr", "es", "es", "es", "es"]


def test_a_caller_may_say_who_waits(slot: OneSlot) -> None:
    slot.send()
    until(lambda: slot.transcriber.gate.inside)
    last = [slot.send({"Prefer": "wait=1"}, priority="batch", target_language="es") for _ in range(2)]
    slot.send(ASYNC, priority="interactive", target_language="fr")
    let_all_through(slot)
    until(lambda: slot.status(*last) == ["completed"] * 2)
    assert spoken_in(slot) == ["es", "fr", "es", "es"]


def test_the_priority_is_no_part_of_what_an_idempotency_key_stands_for(slot: OneSlot) -> None:
    key = {**ASYNC, "Idempotency-Key": "k"}
    jobs = [slot.send(key, priority=priority) for priority in ("batch", "interactive", None)]
    assert len({job["job_id"] for job in jobs}) == 1


def test_an_unknown_priority_is_refused(slot: OneSlot) -> None:
    response = slot.http.post("/api/v1/voice/translate", json=BODY | {"priority": "urgent"})
    assert (response.status_code, response.json()["code"]) == (422, "validation_error")
    assert response.json()["errors"][0]["field"] == "priority"


def test_polling_shows_a_job_wait_work_and_end(slot: OneSlot) -> None:
    first = slot.send()
    until(lambda: slot.transcriber.gate.inside)
    second = slot.send()

    def state() -> tuple[str, str | None]:
        job = slot.job(second["job_id"])
        return job["status"], job["stage"]

    assert state() == ("pending", None)
    slot.http.delete(f"/api/v1/voice/job/{first['job_id']}")
    until(lambda: state() == ("processing", "transcription"))
    slot.transcriber.gate.opened.set()
    until(lambda: state() == ("processing", "voice_cloning"))
    slot.voice.gate.opened.set()
    until(lambda: state() == ("completed", None))


@pytest.mark.parametrize("stage", ["transcription", "voice_cloning"])
def test_deleting_a_running_job_reaches_its_engine_and_frees_the_slot(slot: OneSlot, stage: str) -> None:
    gate = slot.transcriber.gate if stage == "transcription" else slot.voice.gate
    if stage == "voice_cloning":
        slot.transcriber.gate.opened.set()
    first, second = slot.send(), slot.send()
    until(lambda: gate.inside)
    assert slot.http.delete(f"/api/v1/voice/job/{first['job_id']}").status_code == 204
    until(lambda: gate.entered == 2)
    assert gate.cancelled == 1
    assert slot.http.get(f"/api/v1/voice/job/{first['job_id']}").status_code == 404
    let_all_through(slot)
    until(lambda: slot.status(second) == ["completed"])


def test_deleting_a_waiting_job_takes_it_out_of_the_line(slot: OneSlot) -> None:
    first, second = slot.send(), slot.send()
    until(lambda: slot.transcriber.gate.inside)
    assert slot.http.delete(f"/api/v1/voice/job/{second['job_id']}").status_code == 204
    let_all_through(slot)
    until(lambda: slot.status(first) == ["completed"])
    until(lambda: slot.http.get("/health").json()["jobs"] == {"waiting": 0, "running": 0})
    assert slot.transcriber.gate.entered == 1
