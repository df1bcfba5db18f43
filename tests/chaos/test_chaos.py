"""Nothing is lost, whoever is killed and whatever is away."""

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
from tests.support.reporting import LONG, either, say

pytestmark = pytest.mark.timeout(900)

LEASE_SECONDS = either(5.0, 2.0)
WORKERS, SLOTS = either((4, 4), (2, 2))
STORM = either(
    Storm(requests=100, jobs=200, worker_kills=20, redis_kills=2, postgres_kills=2, flushes=1),
    Storm(requests=12, jobs=24, worker_kills=3, redis_kills=1, postgres_kills=1, flushes=1, seconds_each=0.5),
)
SUBMITS, SECONDS = either((1000, 60), (60, 3))


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


def test_1_nothing_is_lost_in_a_storm(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With more attempts than by default: where all kills fall on few workers, three may well hit the same job."""
    with crew(tmp_path, postgres, **environment(attempts(20))) as whole:
        figures = asyncio.run(weather(whole, STORM, random.Random(1)))
    say(capsys, f"storm: {figures}")
    assert (figures.lost, figures.wrong, figures.duplicated) == (0, 0, 0)
    assert figures.kills == STORM.worker_kills + 1
    assert figures.worst_recovery_seconds <= 2 * LEASE_SECONDS or not LONG


def test_2a_a_job_three_times_as_long_as_its_lease_runs_once(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    begun = asyncio.run(outlast_the_lease(whole, LEASE_SECONDS))
    say(capsys, f"job of three leases: begun {begun} time(s)")
    assert begun == 1


def test_2b_a_job_that_kills_its_workers_is_dead(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    dead, begun = asyncio.run(poison(whole, others=either(50, 4)))
    say(capsys, f"poisoned job: begun {begun} times, then {dead['error']['code']}; the others done")
    assert (begun, dead["status"], dead["error"]["code"]) == (3, "failed", "job_dead")


def test_4_many_submits_with_one_key_make_one_job(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = asyncio.run(one_key(whole, SUBMITS))
    say(capsys, f"{SUBMITS} submits with one key: {len(jobs)} job(s)")
    assert len(jobs) == 1


def test_10_without_redis_jobs_go_on(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    done, refused = asyncio.run(without_redis(whole, SECONDS))
    say(capsys, f"{SECONDS} s without Redis: {done} messages done, refused: {dict(refused)}")
    assert done
    assert not refused
    log = whole.log(whole.workers[0])
    assert log.count("redis: does not serve") == 1
    assert "Restarting consumer" not in log  # Dramatiq would say it twice a second


def test_11_workers_drain_when_they_are_told_to_end(whole: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    whole.start_workers(WORKERS - len(whole.workers))
    answers = asyncio.run(terminate_in_the_middle(whole, either(40, 8)))
    say(capsys, f"SIGTERM to {WORKERS - 1} of {WORKERS} workers: {len(answers)} jobs done")
