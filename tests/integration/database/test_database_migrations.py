"""The schema that the migrations make: what the tables say, in a private file, by one process of many."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, MetaData, Table, Text, create_engine, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateTable

from src.adapters.database import migrate
from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.mapping import job_to_values, profile_to_values
from src.adapters.database.profiles import SqlProfileRepository
from src.adapters.database.tables import UtcDateTime, metadata, translation_jobs, users, voice_profiles
from src.domain.audio import AudioFormat
from src.domain.consent import Consent
from src.domain.errors import EngineUnavailable, Overloaded
from src.domain.jobs import Job, JobRequest, VoiceProfile, now
from src.domain.speech import VoiceType
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, name_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "voice.db"


def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def test_migrated_schema_is_that_of_the_tables(path: Path) -> None:
    assert migrate.main([url(path)]) == 0
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_table_exists_in_postgres_terms() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    statements = "\n".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)
    times = [column for table in metadata.tables.values() for column in table.c if isinstance(column.type, UtcDateTime)]
    assert statements.count("TIMESTAMP WITH TIME ZONE") == len(times) > 20
    assert "id BIGSERIAL" in statements


async def test_database_is_private_and_in_wal_mode(path: Path) -> None:
    previous = os.umask(0)
    try:
        database = Database(url(path))
        await database.start()
        await database.ping()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files_beside(path)}
        await database.close()
    finally:
        os.umask(previous)
    assert set(modes) >= {"new", "voice.db"}
    assert modes.pop("new") == 0o700
    assert set(modes.values()) == {0o600}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def files_beside(path: Path) -> list[Path]:
    return [path.parent, *path.parent.iterdir()]


def test_migrated_schema_in_postgres_is_that_of_the_tables(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    assert migrate.main([address]) == 0

    async def differences() -> list[object]:
        engine = create_async_engine(address)
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda one: compare_metadata(MigrationContext.configure(one), metadata))
        await engine.dispose()
        return list(found)

    assert asyncio.run(differences()) == []


async def test_second_start_in_postgres_changes_nothing(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    database = Database(address)
    await database.start()
    before = postgres.dump(address)
    await database.start()
    await asyncio.gather(database.start(), database.start())
    await database.close()
    assert "CREATE TABLE public.translation_jobs" in before
    assert postgres.dump(address) == before


async def test_second_start_changes_nothing(path: Path) -> None:
    database = Database(url(path))
    await database.start()
    before = dump(path)
    await database.start()
    await asyncio.gather(database.start(), database.start())
    await database.close()
    assert dump(path) == before


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def test_processes_that_start_together_all_find_the_schema(empty_database_url: str) -> None:
    command = [sys.executable, "-m", "src.adapters.database.migrate"]
    environment = {**os.environ, "DATABASE_URL": empty_database_url}
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    logs = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 2, logs
    assert sum("Running upgrade  -> 0001" in log for log in logs) == 1


async def test_rows_of_earlier_releases_are_read(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate.migrate, make_url(empty_database_url), "0001")
    agreed, received = now() - timedelta(hours=1), now()
    consent = Consent("I agree.", agreed, received_at=received, id="p")
    profile = VoiceProfile(
        "p", "ann", None, 120.0, VoiceType.MEDIUM, 0.2, 3.0, "p.voice", "p.wav", consent, updated_at=received
    )
    job = Job("j", "ann", JobRequest(AudioFormat.WAV, "es"), "inputs/j.wav")
    database = Database(empty_database_url)
    async with database._writer.begin() as connection:
        await connection.execute(users.insert(), {"id": "ann", "created_at": now()})
        old = {name: value for name, value in profile_to_values(profile).items() if name in old_profiles.c}
        old |= {"consent_statement": "I agree.", "consent_recorded_at": agreed}
        await connection.execute(old_profiles.insert(), old)
        later = ("priority", "fence", "cancel_requested")  # the third's
        old_job = {name: value for name, value in job_to_values(job).items() if name not in later}
        await connection.execute(translation_jobs.insert(), old_job)
    await database.start()
    assert await SqlProfileRepository(database).get("p", "ann") == profile
    assert await SqlJobRepository(database).get("j") == job
    columns = [translation_jobs.c[name] for name in ("priority", "lease_until", "fence", "cancel_requested")]
    assert [tuple(row) for row in await database.read(select(*columns))] == [(0, None, 0, False)]
    await database.close()


old_profiles = Table(
    "voice_profiles",
    MetaData(),
    *(
        Column(each.name, each.type)
        for each in voice_profiles.c
        if each.name not in ("additional_audio_paths", "consent_id")
    ),
    Column("consent_statement", Text),
    Column("consent_recorded_at", UtcDateTime),
)
"""As the first migration made it."""


def test_failed_migration_leaves_nothing(path: Path) -> None:
    """As when one of its statements is refused half-way: here because a table has been made by other hands."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE usage (id INTEGER)")
    connection.close()
    before = dump(path)
    with pytest.raises(Exception, match="already exists"):
        migrate.main([url(path)])
    assert dump(path) == before


def test_failed_migration_of_postgres_leaves_nothing(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    postgres.sql("CREATE TABLE usage (id INTEGER)", name_of(address))
    before = postgres.dump(address)
    with pytest.raises(Exception, match="already exists"):
        migrate.main([address])
    assert postgres.dump(address) == before


async def test_migration_waits_for_the_lock_of_another(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for ever: as long as it is told to."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_SECONDS", 0.3)
    address = postgres.new_database()
    database, other = Database(address), Database(address)
    async with other._writer.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": migrate._POSTGRES_LOCK})
        with pytest.raises(Overloaded):
            await database.start()
    await database.start()
    await database.close()
    await other.close()


def test_server_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"postgresql://someone:a-secret@127.0.0.1:{free_port()}/voice"
    assert migrate.main([address]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("The database was not migrated: the connection is gone, or was not to be had (Connect")
    assert "a-secret" not in said


async def test_start_does_not_hold_up_the_event_loop(path: Path) -> None:
    database = Database(url(path))
    start = asyncio.create_task(database.start())
    turns = 0
    while not start.done():
        await asyncio.sleep(0.001)
        turns += 1
    await start
    await database.close()
    assert turns >= 5


async def test_place_that_cannot_be_written_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    database = Database(url(tmp_path / "file" / "voice.db"))
    with pytest.raises(EngineUnavailable):
        await database.start()
    await database.close()


@pytest.mark.parametrize("address", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
def test_database_in_memory_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="needs a file"):
        Database(address)


@pytest.mark.parametrize("address", ["mysql+aiomysql://a/b", "postgresql+psycopg://a/b"])
def test_other_databases_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="SQLite or Postgres"):
        Database(address)


def test_command_line_without_an_address_says_how_to_use_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert migrate.main([]) == 2
    assert "usage" in capsys.readouterr().err


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines
