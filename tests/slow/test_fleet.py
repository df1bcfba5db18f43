"""Workers in processes of their own, over a real Postgres and Redis. What is done to them is in tests/chaos."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from tests.chaos.scenarios import caller
from tests.fakes.stand_in import Message
from tests.servers.fleet import Fleet, fleet
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.timeout(400)

LEASE_SECONDS = 2.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    for name in ("redis", "fleet"):
        (folder / name).mkdir()
    with (
        RedisServer(folder / "redis", durable=True) as redis,
        fleet(
            folder / "fleet",
            postgres,
            redis,
            workers=2,
            JOB_LEASE_SECONDS=str(LEASE_SECONDS),
            JOB_CONCURRENCY="2",
            LOG_LEVEL="debug",
        ) as made,
    ):
        yield made


async def test_callers_get_what_the_workers_made_of_their_own_message(small: Fleet) -> None:
    app = caller(small)
    messages = [Message(f"own {number}", 0.2) for number in range(16)]
    async with app.http:
        answers = await asyncio.gather(*(app.done(message) for message in messages))
    assert [answer["translated_text"] for answer in answers] == [message.words[::-1] for message in messages]
    assert len({start.process for start in small.starts()}) == 2
    assert not app.refusals


async def test_one_request_is_followed_through_the_logs_of_api_and_worker(small: Fleet) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    headers = {"X-Request-ID": "phone-17", "traceparent": f"00-{trace_id}-{span_id}-01"}
    body = {"audio": Message("followed", fails="defect").encode(), "target_language": "es", "source_language": "en"}
    async with httpx.AsyncClient(base_url=small.url, timeout=60) as http:
        assert (await http.post("/api/v1/voice/translate", json=body, headers=headers)).status_code == 500
        job_id = (await http.get("/api/v1/voice/jobs?limit=1")).json()["jobs"][0]["job_id"]
        spoken = {"text": "hello", "target_language": "es", "reference_audio": Message("a voice").encode()}
        (await http.post("/api/v1/voice/clone", json=spoken, headers=headers)).raise_for_status()
        await http.post("/api/v1/voice/translate", json=body)  # of another request, in the same workers
    lines = [json.loads(line) for process in small.processes for line in small.log(process).splitlines()]
    mine = [line for line in lines if line.get("http.request.id") == "phone-17"]
    assert {(line["trace.id"], line["span.id"]) for line in mine} == {(trace_id, span_id)}
    told = ("labels.route", "http.response.status_code", "labels.role")
    assert [tuple(line[name] for name in told) for line in mine if "labels.route" in line] == [
        ("/api/v1/voice/translate", 500, "api"),
        ("/api/v1/voice/clone", 200, "api"),
    ]
    done = [line for line in mine if line.get("labels.job_id") == job_id and "service" in line["log.logger"]]
    assert [line["message"] for line in done] == [
        f"job {job_id} begins, attempt 1",
        f"job {job_id} failed by a defect",
        f"job {job_id} fails: internal_error",
    ]
    assert {line["process.pid"] for line in done} <= {worker.pid for worker in small.workers}
    assert done[1]["error.type"] == "builtins.ValueError"
    assert [line for line in mine if line["labels.role"] == "worker" and "engine call" in line["message"]]


def test_a_caller_who_goes_away_stops_the_work(small: Fleet) -> None:
    message = Message("nobody listens", 1000.0)
    body = {"audio": message.encode(), "target_language": "es", "source_language": "en"}
    with closing(HTTPConnection(small.url.removeprefix("http://"))) as caller:
        caller.request("POST", "/api/v1/voice/translate", json.dumps(body), {"Content-Type": "application/json"})
        while message.words not in {start.words for start in small.starts()}:
            time.sleep(0.05)
    while httpx.get(f"{small.url}/health", timeout=60).json()["jobs"] != {"waiting": 0, "running": 0}:
        time.sleep(0.05)


async def test_whatever_is_in_redis_has_our_prefix_and_a_time_to_live(small: Fleet) -> None:
    with small.redis.client() as client:
        async with asyncio.timeout(60):
            while any(client.ttl(key) == -1 for key in client.scan_iter()):
                await asyncio.sleep(0.5)
        keys = [key.decode() for key in client.scan_iter()]
    assert [key for key in keys if key.startswith("voice-translation:dramatiq:")]
    assert not [key for key in keys if not key.startswith("voice-translation:")]
