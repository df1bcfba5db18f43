"""A Postgres that restarts, is killed, keeps silent or has no connection left: callers are served later, or told."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.engine import Database
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.storage import new_key
from src.domain.errors import EngineUnavailable, Overloaded
from src.domain.jobs import JobStatus, UsageEvent
from src.domain.repositories import Claim
from tests.fakes.engines import serve
from tests.servers.postgres import PostgresServer, name_of
from tests.support.job_rows import MANY, ids_with, job
from tests.support.messages import MESSAGE
from tests.support.options import applied
from tests.support.waiting import until


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.ready_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    await database.start()
    yield database
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a server that keeps silent."""
    monkeypatch.setattr("src.adapters.database.postgres._CLIENT_GRACE_SECONDS", 0.3)


async def in_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_restart_between_two_calls_is_not_noticed(
    database: Database, postgres: PostgresServer, how: signal.Signals
) -> None:
    jobs, keys = SqlJobRepository(database), SqlIdempotencyStore(database, 60)
    await asyncio.gather(*(jobs.add(job(f"{number}"), MANY) for number in range(8)))  # every connection is open
    await in_thread(lambda: postgres.restart(how))
    assert (await jobs.get("1")).id == "1"
    await in_thread(lambda: postgres.restart(how))
    await jobs.add(job("later"), MANY)
    assert await keys.claim(Claim("ana", "key", "body")) is None
    await database.ping()


async def test_restarts_in_the_middle_of_use_lose_nothing_and_do_nothing_twice(
    database: Database, postgres: PostgresServer
) -> None:
    """Each caller is served, or told that it was not, or that nobody knows."""
    jobs, usage = SqlJobRepository(database), SqlUsageRepository(database)
    accepted: list[str] = []
    counted: list[int] = []
    stop = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            try:
                await jobs.add(job(f"{writer}-{number}"), MANY)
                accepted.append(f"{writer}-{number}")
                await usage.add(UsageEvent("ana", "translate", "completed"))
                counted.append(1)
            except EngineUnavailable:
                counted.append(0)

    async def ten_more() -> None:
        goal = len(accepted) + 10
        await until(lambda: len(accepted) >= goal, 60)

    writers = [asyncio.create_task(write(number)) for number in range(6)]
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGQUIT):
        await ten_more()
        await in_thread(lambda how=how: postgres.restart(how))  # type: ignore[misc]
    await ten_more()
    stop.set()
    await asyncio.wait_for(asyncio.gather(*writers), 60)
    kept = await ids_with(database, JobStatus.PENDING)
    told_nothing = counted.count(0)
    assert len(kept) == len(set(kept))
    assert set(accepted) <= set(kept)
    assert len(kept) - len(accepted) <= told_nothing
    days = await usage.by_day("ana", 1)
    assert counted.count(1) <= days[0].requests <= counted.count(1) + told_nothing


async def test_statement_whose_connection_is_cut_is_run_again(database: Database, postgres: PostgresServer) -> None:
    """Before COMMIT nothing is done, so all of it is done again; what `work` did in vain is undone."""
    calls = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal calls
        calls += 1
        await connection.execute(text("INSERT INTO users VALUES ('eve', now())"))
        if calls == 1:
            process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await in_thread(lambda: postgres.sql(f"SELECT pg_terminate_backend({process}, 5000)"))
        return int((await connection.execute(text("SELECT count(*) FROM users"))).scalar_one())

    assert await database.write(work) == 1
    assert calls == 2


@pytest.mark.parametrize("repeatable", [False, True])
async def test_commit_that_is_not_answered_is_repeated_only_where_that_is_the_same(
    database: Database, repeatable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has done it, and the answer is lost: that is what the patched COMMIT does, and no more."""
    calls = 0
    commit = AsyncConnection.commit

    async def commit_and_lose_the_answer(self: AsyncConnection) -> None:
        await commit(self)
        if calls == 1:
            raise ConnectionResetError

    async def work(connection: AsyncConnection) -> None:
        nonlocal calls
        calls += 1
        await connection.execute(text("INSERT INTO users VALUES ('eve', now()) ON CONFLICT DO NOTHING"))

    monkeypatch.setattr(AsyncConnection, "commit", commit_and_lose_the_answer)
    if repeatable:
        await database.write(work, repeatable=True)
    else:
        with pytest.raises(EngineUnavailable, match="may be stored, or not"):
            await database.write(work)
    assert calls == 1 + repeatable
    assert len(await database.read(text("SELECT id FROM users"))) == 1


async def test_deadlocked_transactions_both_end_well(database: Database) -> None:
    jobs = SqlJobRepository(database)
    await asyncio.gather(jobs.add(job("a"), MANY), jobs.add(job("b"), MANY))
    both_have_one = asyncio.Barrier(2)
    first_time = True

    async def lock(connection: AsyncConnection, *ids: str) -> None:
        nonlocal first_time
        for job_id in ids:
            statement = text("UPDATE translation_jobs SET attempts = attempts + 1 WHERE id = :id")
            await connection.execute(statement, {"id": job_id})
            if first_time:
                await both_have_one.wait()
                first_time = False

    await asyncio.gather(
        database.write(lambda connection: lock(connection, "a", "b")),
        database.write(lambda connection: lock(connection, "b", "a")),
    )
    assert [(await jobs.get(job_id)).attempts for job_id in "ab"] == [2, 2]


async def test_server_that_stays_away_is_told_of_in_time(
    url: str, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(url, retry_seconds=0.5)
    await SqlJobRepository(database).add(job("a"), MANY)
    postgres.stop()
    with caplog.at_level(logging.WARNING), pytest.raises(EngineUnavailable) as refusal:
        await SqlJobRepository(database).get("a")
    assert refusal.value.retry_after_seconds
    assert "not-asked-for" not in caplog.text  # the password
    with pytest.raises(EngineUnavailable):
        await SqlJobRepository(database).get("a")
    await in_thread(postgres.start)
    assert (await SqlJobRepository(database).get("a")).id == "a"
    await in_thread(lambda: postgres.restart(signal.SIGKILL))
    assert (await SqlJobRepository(database).get("a")).id == "a"  # and hoped for again
    await database.close()


async def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    unknown = Database(url + "-that-is-not-there")
    with pytest.raises(EngineUnavailable):
        await unknown.start()
    await unknown.close()


async def test_pool_without_a_free_connection_is_said_and_not_waited_for(url: str) -> None:
    database = Database(url, pool_size=2, timeout_seconds=0.3)
    await database.start()
    jobs = SqlJobRepository(database)
    await jobs.add(job("a"), MANY)
    async with database._writer.begin(), database._writer.begin():
        answers = await asyncio.gather(*(jobs.get("a") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, Overloaded) and answer.retry_after_seconds for answer in answers)
    assert (await jobs.get("a")).id == "a"
    await database.close()


async def test_server_without_a_free_connection_is_overloaded(database: Database, url: str) -> None:
    """Not down: who counts its troubles must not take one for the other."""
    many = [Database(url, pool_size=20) for _ in range(6)]
    refusal = asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 1"))
        await refusal.wait()

    holding = [asyncio.create_task(one.write(hold)) for one in many for _ in range(20)]
    await asyncio.wait(holding, return_when=asyncio.FIRST_COMPLETED)
    refusal.set()
    answers = await asyncio.gather(*holding, return_exceptions=True)
    refused = [answer for answer in answers if answer is not None]
    assert refused
    assert all(isinstance(answer, Overloaded) for answer in refused)
    await asyncio.gather(*(one.close() for one in many))
    await database.ping()


async def test_statement_that_takes_too_long_is_ended(url: str) -> None:
    database = Database(url, pool_size=1, statement_seconds=0.3)
    with pytest.raises(Overloaded):
        await database.read(text("SELECT pg_sleep(60)"))
    await database.ping()
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_server_that_keeps_silent_is_given_up(url: str) -> None:
    """As behind a network that swallows everything: here the server's process is stopped with a signal."""
    database = Database(url, pool_size=1, statement_seconds=0.3)
    process = (await database.read(text("SELECT pg_backend_pid()")))[0][0]
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(EngineUnavailable):
            await asyncio.wait_for(database.ping(), 60)
        # with another connection, once the silent one is given up
        assert (await asyncio.wait_for(database.read(text("SELECT 1")), 60))[0][0] == 1
    finally:
        os.kill(process, signal.SIGCONT)
    await database.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("when", "said"), [("before INSERT", "Try again"), ("before COMMIT", "may be stored, or not")])
async def test_server_that_falls_silent_in_a_transaction_is_given_up(url: str, when: str, said: str) -> None:
    database = Database(url, pool_size=1, statement_seconds=0.3)
    await database.start()
    stopped: list[int] = []

    async def work(connection: AsyncConnection) -> None:
        stopped.append((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
        if when == "before INSERT":
            os.kill(stopped[0], signal.SIGSTOP)
        await connection.execute(text("INSERT INTO users VALUES ('eve', now())"))
        os.kill(stopped[0], signal.SIGSTOP)

    try:
        with pytest.raises(EngineUnavailable, match=said):
            await asyncio.wait_for(database.write(work), 60)
        assert await asyncio.wait_for(database.read(text("SELECT id FROM users")), 60) == []
    finally:
        os.kill(stopped[0], signal.SIGCONT)
    await database.close()


# --- the service


KEY = new_key()
"""Of the storage, which services on one database share, too."""


def service(tmp_path: Path, database_url: str) -> AbstractContextManager[httpx.Client]:
    return serve(tmp_path / "data", database_url=database_url, storage_keys=KEY)


def test_service_says_that_its_postgres_is_away_and_goes_on_when_it_is_back(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    hurried = applied({"src.bootstrap.stores.Database": {"retry_seconds": 0.3}})
    with hurried, service(tmp_path, postgres.ready_database()) as http:
        first = http.post("/api/v1/voice/translate", json=MESSAGE)
        assert first.status_code == 200
        assert http.get("/health").json()["status"] == "healthy"
        postgres.stop()
        refused = http.post("/api/v1/voice/translate", json=MESSAGE)
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "engine_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        assert http.get("/health/live").status_code == 200
        assert http.get("/health/ready").status_code == 503
        health = http.get("/health").json()
        assert health["status"] == "unhealthy"
        assert health["checks"]["database"]["status"] == "failing"
        postgres.start()
        assert http.post("/api/v1/voice/translate", json=MESSAGE).status_code == 200
        assert http.get("/health/ready").status_code == 200
        job_id = first.json()["job_id"]
        assert http.get(f"/api/v1/voice/job/{job_id}").json()["status"] == "completed"


def test_service_serves_a_request_through_a_restart_of_its_postgres(tmp_path: Path, postgres: PostgresServer) -> None:
    patient = applied({"src.bootstrap.stores.Database": {"retry_seconds": 60.0}})  # a busy machine starts it slowly
    with patient, service(tmp_path, postgres.ready_database()) as http:
        assert http.post("/api/v1/voice/translate", json=MESSAGE).status_code == 200
        postgres.stop()
        later = threading.Timer(0.8, postgres.start)
        later.start()
        assert http.post("/api/v1/voice/translate", json=MESSAGE).status_code == 200
        later.join()


def test_two_services_on_one_postgres_start_together_and_know_each_others_jobs(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with service(tmp_path, url) as one, service(tmp_path, url) as other:
        job_id = one.post("/api/v1/voice/translate", json=MESSAGE).json()["job_id"]
        assert other.get(f"/api/v1/voice/job/{job_id}").json()["status"] == "completed"
    assert postgres.sql("SELECT count(*) FROM translation_jobs", name_of(url)) == "1"
