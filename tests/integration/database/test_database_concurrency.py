"""Many callers at once, callers that go away, and a process that is killed: nothing is lost, refused or done twice."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.domain.errors import Overloaded, Unavailable
from src.domain.jobs import JobStatus, Stage
from tests.support.job_rows import MANY, USED, ids_with, job

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    await database.start()
    yield database
    await database.close()


async def run_job(jobs: SqlJobRepository, job_id: str) -> None:
    """What the database sees of one job, whichever is next in line."""
    await jobs.add(job(job_id), MANY)
    mine = await jobs.claim(60)
    if mine is None:  # others were just taking all that wait, this one too
        return
    for stage in Stage:
        await jobs.save_stage(mine, stage)
        assert (await jobs.get(mine.id)).stage == stage
    assert await jobs.finish(replace(mine, status=JobStatus.COMPLETED), USED)


async def test_32_writers_and_a_second_owner_of_the_file_are_all_served(database: Database, url: str) -> None:
    other = Database(url)  # as another process would have
    repositories = [SqlJobRepository(database), SqlJobRepository(other)]
    await asyncio.gather(*(run_job(repositories[number % 2], str(number)) for number in range(32)))
    await other.close()
    ended, waiting = [await ids_with(database, each) for each in (JobStatus.COMPLETED, JobStatus.PENDING)]
    assert len(ended) + len(waiting) == 32
    assert len(ended) > 16


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    jobs = SqlJobRepository(database)
    await jobs.add(job("a"), MANY)
    async with database._writer.begin():
        assert (await asyncio.wait_for(jobs.get("a"), 60)).id == "a"


async def test_writer_that_waits_too_long_is_told_to_come_back(url: str) -> None:
    database = Database(url, pool_size=1, timeout_seconds=0.2)
    await database.start()
    async with database._writer.begin():
        with pytest.raises(Overloaded) as refusal:
            await SqlJobRepository(database).add(job("a"), MANY)
    assert refusal.value.retry_after_seconds
    await SqlJobRepository(database).add(job("a"), MANY)
    await database.close()


async def test_writer_that_waits_for_another_process_is_told_to_come_back(tmp_path: Path) -> None:
    """Only SQLite has one writer at a time for all processes."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}"
    database, other = Database(url, timeout_seconds=0.2), Database(url)
    await database.start()
    async with other._writer.begin():
        with pytest.raises(Unavailable):
            await SqlJobRepository(database).add(job("a"), MANY)
    await SqlJobRepository(database).add(job("a"), MANY)
    await database.close()
    await other.close()


async def test_cancelled_callers_leave_no_lock_behind(database: Database) -> None:
    jobs, rng = SqlJobRepository(database), random.Random(7)
    await jobs.add(job("steady"), MANY)
    for number in range(60):
        callers = [asyncio.create_task(run_job(jobs, f"{number}-{i}")) for i in range(3)]
        await asyncio.sleep(rng.random() * 0.004)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await asyncio.wait_for(jobs.request_cancel("steady"), 60)


async def test_transaction_that_fails_is_undone(database: Database) -> None:
    jobs = SqlJobRepository(database)

    async def fail_half_way() -> None:
        async with database._writer.begin() as connection:
            await connection.exec_driver_sql("INSERT INTO users VALUES ('eve', '2026-01-01 00:00:00')")
            raise LookupError

    with pytest.raises(LookupError):
        await fail_half_way()
    async with database._writer.begin() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM users")).scalar_one() == 0
    await jobs.add(job("a"), MANY)


WRITE_UNTIL_KILLED = """
import asyncio, sys
from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.domain.audio import AudioFormat
from src.domain.jobs import Job, JobRequest

async def main() -> None:
    jobs = SqlJobRepository(Database(sys.argv[1]))
    for number in range(100_000):
        await jobs.add(Job(str(number), "ana", JobRequest(AudioFormat.WAV, "es"), "inputs/a.wav"), 1_000_000)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_killed_process_loses_no_job_that_it_accepted(database: Database, url: str) -> None:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 60) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    lines += (await process.stdout.read()).splitlines()
    await process.wait()
    accepted = {line.decode().strip() for line in lines} - {""}
    jobs = SqlJobRepository(database)
    kept = set(await ids_with(database, JobStatus.PENDING))
    assert len(accepted) >= 50
    assert accepted <= kept
    assert len(kept) <= len(accepted) + 1
    await jobs.add(job("after"), MANY)
