"""Callbacks while everything that sends and takes them fails: `scripts/test chaos`."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.stand_in import Message
from tests.providers.provider_server import Answer, Request
from tests.servers.fleet import Fleet, fleet
from tests.servers.postgres import PostgresServer
from tests.servers.receiver import SECRET, Receiver, verified
from tests.servers.redis import RedisServer
from tests.support.options import environment
from tests.support.reporting import long_only, say
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(900), long_only]

JOBS, API_KILLS, WORKER_KILLS = 100, 3, 3


class FlakyReceiver(Receiver):
    """Takes about two messages of three, some of them slowly. `taken`: ids of the messages, by job."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.taken: dict[str, Counter[str]] = {}
        self._rng = rng
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        data = verified(request)["data"]
        assert isinstance(data, dict)
        with self._lock:
            chance, delay = self._rng.random(), self._rng.uniform(0.0, 0.4)
            if chance > 0.65:
                return Answer(500) if chance > 0.8 else Answer(reset=True)
            self.taken.setdefault(data["job_id"], Counter()).update([request.headers["webhook-id"]])
        return Answer(204, delay=delay)


@pytest.fixture
def two_apis(tmp_path: Path, postgres: PostgresServer) -> Iterator[Fleet]:
    (tmp_path / "redis").mkdir()
    (tmp_path / "fleet").mkdir()
    options = {
        "WEBHOOK_SECRET": SECRET,
        "CALLBACK_ALLOW_HTTP": "1",
        "CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8",
        **environment({"src.bootstrap.jobs.CallbackDelivery": {"pauses_seconds": [0.5] * 30}}),
        "JOB_LEASE_SECONDS": "2",
        "JOB_QUEUE_SIZE": "1000",
    }
    with (
        RedisServer(tmp_path / "redis", durable=True) as redis,
        fleet(tmp_path / "fleet", postgres, redis, workers=2, **options) as made,
    ):
        yield made


async def submit(http: httpx.AsyncClient, url: str, number: int) -> str:
    body = {
        "audio": Message(f"message {number}", 0.3).encode(),
        "target_language": "es",
        "source_language": "en",
        "callback_url": url,
    }
    answer = await http.post("/api/v1/voice/translate", json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


async def strike(fleet: Fleet) -> None:
    """Kill another process that delivers, and a worker that ends jobs, again and again; each has a successor."""
    for _ in range(API_KILLS):
        other = await asyncio.to_thread(fleet.start_api)
        await asyncio.sleep(1)
        await asyncio.to_thread(fleet.kill, fleet.workers[0])
        other.kill()
        await asyncio.to_thread(other.wait, 10)
        await asyncio.to_thread(fleet.start_workers, 1)


async def test_every_callback_arrives_whoever_is_killed(two_apis: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    with FlakyReceiver(random.Random(1)) as receiver:
        async with httpx.AsyncClient(base_url=two_apis.url, timeout=60) as http:
            striking = asyncio.create_task(strike(two_apis))
            jobs = []
            for number in range(JOBS):
                jobs.append(await submit(http, receiver.at("127.0.0.1"), number))
                await asyncio.sleep(0.2)
            await striking
            await until(lambda: set(receiver.taken) >= set(jobs), 400)
        messages = {len(ids) for ids in receiver.taken.values()}
        twice = sum(ids.total() - 1 for ids in receiver.taken.values())
    kills = f"{API_KILLS} API and {WORKER_KILLS} worker kills"
    say(capsys, f"callbacks: {JOBS} jobs, {kills}, {len(receiver.requests)} attempts, 0 lost, {twice} taken twice")
    assert set(receiver.taken) == set(jobs)
    assert messages == {1}, "a job has one message, however often it is sent"
    assert twice <= 16 * API_KILLS
