"""RELIABILITY's list at full length, with its figures printed: `scripts/test chaos`."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.scenarios import (
    Storm,
    one_key,
    outlast_the_lease,
    poison,
    terminate_in_the_middle,
    weather,
    without_redis,
)
from tests.servers.fleet import Fleet, attempts, fleet
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.options import environment

pytestmark = pytest.mark.timeout(900)

LEASE_SECONDS = 5.0
WORKERS, SLOTS = 4, 4


@contextmanager
def crew(folder: Path, postgres: PostgresServer, **settings: str) -> Iterator[Fleet]:
    for name in ("redis", "fleet"):
        (folder / name).mkdir()
    always = {"JOB_LEASE_SECONDS": str(LEASE_SECONDS), "JOB_CONCURRENCY": str(SLOTS), "JOB_QUEUE_SIZE": "2000"}
    with (
        RedisServer(folder / "redis", durable=True) as redis,
        fleet(folder / "fleet", postgres, redis, workers=WORKERS, **always, **settings) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Fleet]:
    with crew(tmp_path_factory.mktemp("chaos"), postgres) as made:
        yield made


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")  # noqa: T201 - the figures are what this suite is run for


def test_1_nothing_is_lost_in_a_storm(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With more attempts than by default: where all kills fall on few workers, three may well hit the same job."""
    storm = Storm(requests=100, jobs=200, worker_kills=20, redis_kills=2, postgres_kills=2, flushes=1)
    with crew(tmp_path, postgres, **environment(attempts(20))) as whole:
        figures = asyncio.run(weather(whole, storm, random.Random(1)))
    say(capsys, f"storm: {figures}")
    assert (figures.lost, figures.wrong, figures.duplicated) == (0, 0, 0)
    assert figures.worst_recovery_seconds <= 2 * LEASE_SECONDS


def test_2a_a_job_three_times_as_long_as_its_lease_runs_once(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    begun = asyncio.run(outlast_the_lease(whole, LEASE_SECONDS))
    say(capsys, f"job of three leases: begun {begun} time(s)")
    assert begun == 1


def test_2b_a_job_that_kills_its_workers_is_dead(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    dead, begun = asyncio.run(poison(whole, others=50))
    say(capsys, f"poisoned job: begun {begun} times, then {dead['error']['code']}; 50 others done")
    assert (begun, dead["status"], dead["error"]["code"]) == (3, "failed", "job_dead")


def test_4_a_thousand_submits_with_one_key_make_one_job(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = asyncio.run(one_key(whole, 1000))
    say(capsys, f"1000 submits with one key: {len(jobs)} job(s)")
    assert len(jobs) == 1


def test_10_a_minute_without_redis(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    done, refused = asyncio.run(without_redis(whole, 60))
    say(capsys, f"60 s without Redis: {done} messages done, refused: {dict(refused)}")
    assert done
    assert not refused


def test_11_workers_drain_when_they_are_told_to_end(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    whole.start_workers(WORKERS - len(whole.workers))
    answers = asyncio.run(terminate_in_the_middle(whole, 40))
    say(capsys, f"SIGTERM to {WORKERS - 1} of {WORKERS} workers: {len(answers)} jobs done")
