"""Backups of a real Postgres: one moment of it, one transaction back, and no password that others could read."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from src.adapters.database.engine import Database
from src.adapters.database.migrate import migrate
from tests.servers.postgres import PostgresServer, find_program, name_of
from tests.support.backup_circle import State, backup_state

__all__ = ["backup_state"]

PASSWORD = "p@ss w:o/r%d?#&='\\\"ü$(id)"


def migrated(postgres: PostgresServer) -> str:
    address = postgres.new_database()
    migrate(make_url(address))
    return address


def rows(postgres: PostgresServer, address: str, table: str) -> int:
    return int(postgres.sql(f"SELECT count(*) FROM {table}", name_of(address)))  # noqa: S608


def instead_of(program: str, folder: Path, first: str) -> None:
    """A program in PATH, which does `first` and then what it stands for."""
    folder.mkdir(exist_ok=True)
    script = folder / program
    real = find_program(program)
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ {first}; }}\nexec {real} "$@"\n')
    script.chmod(0o700)


def add_pair(postgres: PostgresServer, address: str, number: int) -> None:
    """A user and what refers to it, in one transaction."""
    postgres.sql(
        f"WITH new AS (INSERT INTO users VALUES ('u{number}', now()) RETURNING id)"  # noqa: S608
        " INSERT INTO audit_log (at, user_id, action, subject, outcome)"
        " SELECT now(), id, 'profile.save', 'x', 'completed' FROM new",
        name_of(address),
    )


def test_no_password_is_in_a_command_line_or_in_what_is_said(
    backup_state: State, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Neither of ours nor of Postgres's programs; and odd names and passwords work."""
    role, database = postgres.new_owner(PASSWORD)
    url = URL.create("postgresql+asyncpg", role, PASSWORD, "127.0.0.1", postgres.port, database)
    migrate(url)
    for program in ("pg_dump", "pg_restore", "psql"):
        instead_of(program, tmp_path / "seen", f'ps -ww -eo args >> "{tmp_path}/processes"')
    backup_state.set(PATH=f"{tmp_path}/seen:{os.environ['PATH']}", PGPASSFILE="/nowhere")
    backup_state.set(DATABASE_URL=url.render_as_string(hide_password=False))
    in_query = URL.create(
        "postgresql+asyncpg", role, None, "127.0.0.1", postgres.port, database, {"password": PASSWORD}
    )
    backup_state.backup()
    backup_state.restore("latest", code=1)
    backup_state.restore("latest", "--overwrite")
    backup_state.set(DATABASE_URL=in_query.render_as_string())
    backup_state.backup()
    seen = (tmp_path / "processes").read_text()
    assert all(f"/seen/{program} " in seen for program in ("pg_dump", "pg_restore", "psql"))
    for secret in (PASSWORD, url.render_as_string(hide_password=False).split(":")[2].split("@")[0]):
        assert secret not in backup_state.printed + seen
    backup_state.set(DATABASE_URL=url.set(password="wrong").render_as_string(hide_password=False))
    assert "does not answer" in backup_state.backup(code=1)["error"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_restore_that_fails_changes_nothing(backup_state: State, postgres: PostgresServer, overwrite: bool) -> None:
    backup_state.set(DATABASE_URL=migrated(postgres))
    backup_state.backup()
    address = postgres.new_database()
    postgres.sql("CREATE SEQUENCE pk_users", name_of(address))  # the name of an index, which comes late
    if overwrite:
        postgres.sql("CREATE TABLE precious AS SELECT 'what was there' AS it", name_of(address))
    before = postgres.dump(address)
    backup_state.set(DATABASE_URL=address)
    options = ["--overwrite"] if overwrite else []
    refused = backup_state.restore("latest", *options, code=1)["error"]
    assert "pk_users" in refused
    assert postgres.dump(address) == before


def test_overwriting_takes_away_what_a_newer_release_added(backup_state: State, postgres: PostgresServer) -> None:
    address = migrated(postgres)
    add_pair(postgres, address, 1)
    backup_state.set(DATABASE_URL=address)
    backup_state.backup()
    before = postgres.dump(address)
    postgres.sql("CREATE TABLE newer (user_id varchar(255) REFERENCES users)", name_of(address))
    postgres.sql("INSERT INTO users VALUES ('late', now())", name_of(address))
    assert "not empty" in backup_state.restore("latest", code=1)["error"]
    backup_state.restore("latest", "--overwrite")
    assert postgres.dump(address) == before


async def _count_of_users(database: Database) -> int:
    return int((await database.read(text("SELECT count(*) FROM users")))[0][0])


def test_a_database_that_the_service_uses_is_not_overwritten(backup_state: State, postgres: PostgresServer) -> None:
    address = migrated(postgres)
    backup_state.set(DATABASE_URL=address)
    backup_state.backup()
    with asyncio.Runner() as runner:
        database = Database(address)
        assert runner.run(_count_of_users(database)) == 0
        assert "used by the service" in backup_state.restore("latest", "--overwrite", code=1)["error"]
        runner.run(database.close())
    backup_state.restore("latest", "--overwrite")


def test_restored_jobs_wait_with_all_their_attempts_and_a_new_fence(
    backup_state: State, postgres: PostgresServer
) -> None:
    address = migrated(postgres)
    postgres.sql("INSERT INTO users VALUES ('ann', now())", name_of(address))
    for job, status, attempts in (("runs", "processing", 2), ("waits", "pending", 0), ("done", "completed", 1)):
        postgres.sql(
            "INSERT INTO translation_jobs (id, user_id, request, input_key, status, stage, attempts, created_at,"  # noqa: S608
            f" updated_at, lease_until, fence) VALUES ('{job}', 'ann', '{{}}', 'inputs/{job}.wav', '{status}', NULL,"
            f" {attempts}, now(), now(), now() + interval '1 day', 7)",
            name_of(address),
        )
    backup_state.set(DATABASE_URL=address)
    backup_state.backup()
    restored = postgres.new_database()
    backup_state.set(DATABASE_URL=restored)
    done = backup_state.restore("latest")
    assert done["files_missing"] == ["inputs/runs.wav", "inputs/waits.wav"]
    columns = "id, status, attempts, lease_until IS NULL, fence"
    found = postgres.sql(f"SELECT {columns} FROM translation_jobs ORDER BY id", name_of(restored))  # noqa: S608
    assert found.splitlines() == ["done|completed|1|f|7", "runs|pending|0|t|1007", "waits|pending|0|t|1007"]


def test_tables_of_others_in_the_database_stay_out(backup_state: State, postgres: PostgresServer) -> None:
    """Of other schemas, and of extensions, which the role could often not make anew."""
    address = migrated(postgres)
    backup_state.set(DATABASE_URL=address)
    for statement in ("CREATE SCHEMA theirs", "CREATE TABLE theirs.secrets (it text)", "CREATE EXTENSION pgcrypto"):
        postgres.sql(statement, name_of(address))
    made = backup_state.backup()
    assert "secrets" not in json.dumps(made)
    restored = postgres.new_database()
    backup_state.set(DATABASE_URL=restored)
    backup_state.restore("latest")
    dumped = postgres.dump(restored)
    assert "theirs" not in dumped
    assert "pgcrypto" not in dumped


def test_a_lost_server_is_said_without_its_password(backup_state: State, postgres: PostgresServer) -> None:
    url = make_url(migrated(postgres)).set(port=1, password=PASSWORD)
    backup_state.set(DATABASE_URL=url.render_as_string(hide_password=False))
    said = backup_state.backup(code=1)["error"]
    assert re.match(r"The database 127\.0\.0\.1:1/test_\w+: The database does not answer", said)


def test_of_a_programs_error_only_the_line_is_said_that_quotes_no_row(
    backup_state: State, postgres: PostgresServer, tmp_path: Path
) -> None:
    backup_state.set(DATABASE_URL=migrated(postgres), PATH=f"{tmp_path}:{os.environ['PATH']}")
    lines = ["warning: x", "pg_dump: error: COPY failed: ERROR:  bad", "DETAIL: a secret word", "CONTEXT: another"]
    script = tmp_path / "pg_dump"
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in lines) + "exit 1\n")
    script.chmod(0o700)
    assert backup_state.backup(code=1)["error"] == "pg_dump failed: pg_dump: error: COPY failed: ERROR:  bad"
