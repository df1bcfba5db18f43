"""What a job's caller sees of it over HTTP, on fake engines: who is served first, and how far it is."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber, FakeVoice, Gate
from tests.fakes.stand_in import Message, engines
from tests.support.messages import MESSAGE

ASYNC = {"Prefer": "respond-async"}
PATIENCE_SECONDS = 20.0
ONE_AT_A_TIME: dict[str, Any] = {"job_concurrency": 1, "shutdown_grace_seconds": 0.1}


class OneSlot:
    """A service that does one job at a time. Its transcriber notes whose job it hears, and may be held."""

    def __init__(self, http: httpx.Client, transcriber: FakeTranscriber, voice: FakeVoice) -> None:
        self.http = http
        self.transcriber, self.voice = transcriber, voice

    def send(self, headers: dict[str, str] | None = None, **changes: object) -> dict[str, Any]:
        response = self.http.post("/api/v1/voice/translate", json=MESSAGE | changes, headers=headers or ASYNC)
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
    transcriber, voice = FakeTranscriber(sentences=("good morning",), gate=Gate()), FakeVoice(gate=Gate())
    held = fake_engines(transcriber=transcriber, voice=voice)
    with serve(tmp_path / "data", held, sync_timeout_seconds=0.2, **ONE_AT_A_TIME) as http:
        yield OneSlot(http, transcriber, voice)


def spoken_in(slot: OneSlot) -> list[str]:
    """The languages of the jobs, in the order in which they were done."""
    return [request.language for request in slot.voice.requests]


def let_all_through(slot: OneSlot) -> None:
    slot.transcriber.gate.opened.set()
    slot.voice.gate.opened.set()


def test_a_backlog_of_batches_does_not_delay_interactive_jobs(slot: OneSlot) -> None:
    slot.send(target_language="es")
    until(lambda: slot.transcriber.gate.inside)
    backlog = [slot.send(target_language="es") for _ in range(4)]
    waiting = slot.send({"Prefer": "wait=1"}, target_language="fr")
    assert slot.status(waiting, *backlog) == ["pending"] * 5
    let_all_through(slot)
    until(lambda: slot.status(*backlog) == ["completed"] * 4)
    assert spoken_in(slot) == ["es", "fr", "es", "es", "es", "es"]


def test_a_caller_may_choose_the_priority(slot: OneSlot) -> None:
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
    response = slot.http.post("/api/v1/voice/translate", json=MESSAGE | {"priority": "urgent"})
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


def test_deleting_a_waiting_job_takes_it_out_of_the_queue(slot: OneSlot) -> None:
    first, second = slot.send(), slot.send()
    until(lambda: slot.transcriber.gate.inside)
    assert slot.http.delete(f"/api/v1/voice/job/{second['job_id']}").status_code == 204
    let_all_through(slot)
    until(lambda: slot.status(first) == ["completed"])
    until(lambda: slot.http.get("/health").json()["jobs"] == {"waiting": 0, "running": 0})
    assert slot.transcriber.gate.entered == 1


def timed_service(tmp_path: Path, slots: int) -> AbstractContextManager[httpx.Client]:
    """Each job takes as long as its message says."""
    return serve(tmp_path / "data", engines(), **ONE_AT_A_TIME | {"job_concurrency": slots})


def send(http: httpx.Client, seconds: float, headers: dict[str, str], **changes: object) -> httpx.Response:
    body = MESSAGE | {"audio": Message("good morning", seconds).encode()} | changes
    return http.post("/api/v1/voice/translate", json=body, headers=headers)


def running(http: httpx.Client) -> list[str]:
    """Ids; asked in a way that needs no estimate, as the service keeps one for two seconds."""
    return [job["job_id"] for job in http.get("/api/v1/voice/jobs", params={"status": "processing"}).json()["jobs"]]


def test_a_waiting_caller_is_told_position_and_estimated_wait(tmp_path: Path) -> None:
    with timed_service(tmp_path, slots=1) as http:
        first = send(http, 30.0, ASYNC)
        assert first.json()["position"] in (1, None)  # it may have been begun by now
        until(lambda: http.get(first.headers["location"]).json()["status"] == "processing")
        begun = http.get(first.headers["location"]).json()
        assert (begun["position"], begun["estimated_wait_seconds"]) == (None, None)
        waiting = [send(http, 0.0, ASYNC) for _ in range(3)]
        assert [answer.json()["position"] for answer in waiting] == [1, 2, 3]
        assert [answer.json()["estimated_wait_seconds"] for answer in waiting] == [None] * 3  # none has been done yet
        assert {answer.headers["retry-after"] for answer in waiting} == {"1"}
        assert http.delete(waiting[0].headers["location"]).status_code == 204
        assert [http.get(answer.headers["location"]).json()["position"] for answer in waiting[1:]] == [1, 2]
        hurried = send(http, 0.0, ASYNC, priority="interactive")
        assert hurried.json()["position"] == 1
        assert http.get(waiting[1].headers["location"]).json()["position"] == 2


@pytest.mark.parametrize("slots", [1, 2])
def test_the_estimate_is_made_of_what_jobs_took_and_grows_with_the_place(tmp_path: Path, slots: int) -> None:
    with timed_service(tmp_path, slots) as http:
        took = [send(http, 0.2, {}).json()["processing_time_ms"] / 1000 for _ in range(3)]
        mean = sum(took) / len(took)
        with ThreadPoolExecutor() as callers:
            for _ in range(slots):
                callers.submit(send, http, 60.0, {})
            until(lambda: len(running(http)) == slots)
            line = [send(http, 0.2, ASYNC) for _ in range(6)]
            for job_id in running(http):
                http.delete(f"/api/v1/voice/job/{job_id}")
        estimates = [answer.json()["estimated_wait_seconds"] for answer in line]
        assert estimates == pytest.approx([place * mean / slots for place in range(1, 7)], abs=0.01)
        assert all(later - sooner > 0.19 / slots for sooner, later in pairwise(estimates))
        for answer, estimate in zip(line, estimates, strict=True):
            assert int(answer.headers["retry-after"]) == max(1, math.ceil(estimate))


def test_retry_after_is_never_longer_than_half_a_minute(tmp_path: Path) -> None:
    with timed_service(tmp_path, slots=1) as http:
        send(http, 1.1, {})
        busy = send(http, 60.0, ASYNC)
        until(lambda: running(http) == [busy.json()["job_id"]])
        last = [send(http, 0.0, ASYNC) for _ in range(40)][-1]
        assert last.json()["position"] == 40
        assert last.json()["estimated_wait_seconds"] > 40
        assert last.headers["retry-after"] == "30"
