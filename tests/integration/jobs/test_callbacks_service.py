"""Callbacks through the whole service: a job comes with a `callback_url`, and its caller's server hears of the end.

The engines are fakes; HTTP, the database and the processes are real.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from src.api.schemas.jobs import JobEnded
from tests.conftest import service_process
from tests.fakes.engines import fake_engines
from tests.fakes.engines import serve as serve_app
from tests.fakes.fakes import FakeTranscriber
from tests.fakes.stand_in import Message
from tests.servers.ports import free_port
from tests.servers.receiver import SECRET, Receiver, verified
from tests.support.messages import MESSAGE
from tests.support.options import applied, environment

TRANSLATE = "/api/v1/voice/translate"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Starts a service that may call back on this machine; `changes` are settings."""

    @contextmanager
    def start(
        transcriber: FakeTranscriber | None = None, pauses: Sequence[float] = (0.1, 0.1, 0.1), **changes: Any
    ) -> Iterator[httpx.Client]:
        options: dict[str, Any] = {
            "webhook_secret": SecretStr(SECRET),
            "callback_allow_http": True,
            "callback_allowed_networks": ["127.0.0.0/8"],
        }
        engines = fake_engines(transcriber=transcriber or FakeTranscriber())
        with applied(retries(pauses)), serve_app(tmp_path / "data", engines, **(options | changes)) as http:
            yield http

    return start


def retries(pauses: Sequence[float]) -> dict[str, Any]:
    """For `tests.support.options`."""
    return {"src.bootstrap.jobs.CallbackDelivery": {"pauses_seconds": pauses}}


Serve = Callable[..., AbstractContextManager[httpx.Client]]


def await_messages(receiver: Receiver, count: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while len(receiver.requests) < count:
        assert time.monotonic() < deadline, f"{len(receiver.requests)} messages instead of {count}"
        time.sleep(0.02)


def test_the_end_of_a_job_is_told_once_and_signed(receiver: Receiver, serve: Serve, tmp_path: Path) -> None:
    with serve() as http:
        accepted = http.post(TRANSLATE, json=MESSAGE | {"callback_url": receiver.at("localhost")}, headers=ASYNC)
        assert accepted.status_code == 202, accepted.text
        await_messages(receiver, 1)
        message = JobEnded.model_validate(verified(receiver.requests[0]))
        assert message.type == "job.completed"
        assert message.data.job_id == accepted.json()["job_id"]
        assert (message.data.source_language, message.data.target_language) == ("en", "es")
        job = http.get(message.data.job_path).json()
        assert job["status"] == message.data.status == "completed"
        for words in (job["original_text"], job["translated_text"]):
            assert words.encode() not in receiver.requests[0].body
        row = await_row(tmp_path / "data", "delivered_at")
    assert (row["attempts"], row["last_status"], len(receiver.requests)) == (1, 204, 1)


def test_a_synchronous_call_is_told_of_too(receiver: Receiver, serve: Serve) -> None:
    with serve() as http:
        answer = http.post(TRANSLATE, json=MESSAGE | {"callback_url": receiver.at("127.0.0.1")})
        assert answer.status_code == 200
        await_messages(receiver, 1)
    data = JobEnded.model_validate(verified(receiver.requests[0])).data
    assert data.job_id == answer.json()["job_id"]


def test_an_address_inside_is_not_connected_to(receiver: Receiver, serve: Serve, tmp_path: Path) -> None:
    with serve(callback_allowed_networks=[]) as http:
        refused = http.post(TRANSLATE, json=MESSAGE | {"callback_url": receiver.at("127.0.0.1")})
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
        assert refused.json()["detail"] == "callback_url: Its address is not of the public internet."
        taken = http.post(TRANSLATE, json=MESSAGE | {"callback_url": receiver.at("localhost")}, headers=ASYNC)
        assert taken.status_code == 202
        row = await_row(tmp_path / "data", "given_up_at")
    assert (row["last_error"], row["attempts"]) == ("its address is not of the public internet", 1)
    assert (row["job_id"], receiver.connections) == (taken.json()["job_id"], 0)


def rows(data_dir: Path) -> list[dict[str, Any]]:
    """The outbox."""
    connection = sqlite3.connect(data_dir / "voice.db")
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute("SELECT * FROM callbacks")]
    connection.close()
    return found


def await_row(data_dir: Path, column: str) -> dict[str, Any]:
    """The only row of the outbox, when it has something in this column."""
    deadline = time.monotonic() + 60
    while not (found := [row for row in rows(data_dir) if row[column] is not None]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]


def test_a_key_used_again_with_another_callback_is_another_request(receiver: Receiver, serve: Serve) -> None:
    with serve() as http:
        headers = ASYNC | {"Idempotency-Key": "k"}
        bodies = [MESSAGE | {"callback_url": receiver.at("127.0.0.1", path)} for path in ("/a", "/a", "/b")]
        answers = [http.post(TRANSLATE, json=body, headers=headers) for body in bodies]
        assert [answer.status_code for answer in answers] == [202, 202, 422]
        assert answers[2].json()["code"] == "idempotency_key_reused"
        await_messages(receiver, 1)


@pytest.mark.parametrize(
    ("changes", "url", "reason"),
    [
        ({"webhook_secret": None}, "https://example.com/", "WEBHOOK_SECRET"),
        ({"callback_allow_http": False}, "http://example.com/", "It begins with https://."),
    ],
)
def test_a_url_that_is_not_taken_is_said_at_once(serve: Serve, changes: dict[str, Any], url: str, reason: str) -> None:
    with serve(**changes) as http:
        answer = http.post(TRANSLATE, json=MESSAGE | {"callback_url": url}, headers=ASYNC)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["detail"].startswith("callback_url: ")
    assert reason in answer.json()["detail"]


def test_the_contract_describes_what_is_sent(serve: Serve) -> None:
    with serve() as http:
        contract = http.get("/openapi.json").json()
    described = contract["paths"][TRANSLATE]["post"]["callbacks"]
    ((_, by_url),) = described.items()
    post = by_url["{$request.body#/callback_url}"]["post"]
    assert {header["name"] for header in post["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobEnded"}


def test_a_process_that_is_killed_before_it_delivered_leaves_that_to_the_next(tmp_path: Path, serve: Serve) -> None:
    port = free_port()  # nobody listens there until the first process is dead
    options = {
        "WEBHOOK_SECRET": SECRET,
        "CALLBACK_ALLOW_HTTP": "1",
        "CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8",
        **environment(retries([0.3] * 200)),
    }
    with service_process(tmp_path / "data", ("tests.fakes.stand_in", "api"), **options) as (url, process):
        body = MESSAGE | {"audio": Message("words").encode(), "callback_url": f"http://127.0.0.1:{port}/hook"}
        accepted = httpx.post(f"{url}{TRANSLATE}", json=body, headers=ASYNC, timeout=60)
        assert accepted.status_code == 202, accepted.text
        await_row(tmp_path / "data", "last_error")
        process.kill()
        process.wait(10)
    with Receiver(port=port) as receiver, serve():
        row = await_row(tmp_path / "data", "delivered_at")
    message = JobEnded.model_validate(verified(receiver.requests[0]))
    assert (message.type, message.data.job_id) == ("job.completed", accepted.json()["job_id"])
    assert row["id"] == receiver.requests[0].headers["webhook-id"]
    assert len(receiver.requests) == 1
    assert "/hook" not in (tmp_path / "data.log").read_text()
