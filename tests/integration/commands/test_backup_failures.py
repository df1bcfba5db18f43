"""Backups that are damaged, unfinished or meant for another database: refused, and nothing is touched."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from scripts.backups.archive import new_name
from src.adapters.database.migrate import migrate
from tests.conftest import ROOT
from tests.servers.proxy import Fault, FaultyProxy
from tests.servers.s3 import S3Server
from tests.support.backup_circle import State, backup_state

__all__ = ["backup_state"]


@pytest.fixture
def data(backup_state: State, tmp_path: Path) -> Path:
    """A data folder with a database of this release."""
    migrate(make_url(f"sqlite+aiosqlite:///{tmp_path}/data/voice.db"))
    add_user(tmp_path / "data" / "voice.db", "ann")
    return tmp_path / "data"


def add_user(database: Path, name: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO users VALUES (?, '2026-11-21 10:00:00')", [name])


def users(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT id FROM users ORDER BY id")]


def dump_of(data: Path) -> Path:
    (dump,) = (data / "backups" / "dumps").iterdir()
    return dump


def flip(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["a bit", "cut", "gone"])
def test_a_damaged_dump_is_refused_before_anything_is_touched(backup_state: State, data: Path, damage: str) -> None:
    name = backup_state.backup()["name"]
    add_user(data / "voice.db", "bob")
    dump = dump_of(data)
    if damage == "a bit":
        flip(dump)
    elif damage == "cut":
        dump.write_bytes(dump.read_bytes()[:-1])
    else:
        dump.unlink()
    before = (data / "voice.db").read_bytes()
    refused = backup_state.restore(name, "--overwrite", code=1)["error"]
    assert ("another digest" if damage != "gone" else "no such file") in refused
    assert backup_state.backup("--verify", name, code=1)["error"] == refused
    assert (data / "voice.db").read_bytes() == before
    assert users(data / "voice.db") == ["ann", "bob"]


def test_a_damaged_copy_of_a_file_is_found(backup_state: State, data: Path) -> None:
    result = data / "audio" / "results" / "j.wav"
    with closing(sqlite3.connect(data / "voice.db")) as connection, connection:
        connection.execute(
            "INSERT INTO translation_jobs (id, user_id, request, input_key, status, attempts, result, created_at,"
            " updated_at) VALUES ('j', 'ann', '{}', 'inputs/j.wav', 'completed', 1, ?, '2026-11-21', '2026-11-21')",
            [json.dumps({"audio_key": "results/j.wav"})],
        )
    result.parent.mkdir(parents=True)
    result.write_bytes(b"spoken words")
    name = backup_state.backup("--with-files")["name"]
    flip(data / "backups" / "files" / name / "results" / "j.wav")
    result.unlink()
    assert "results/j.wav" in backup_state.backup("--verify", "latest", code=1)["error"]
    assert "is damaged" in backup_state.restore("latest", "--files-only", code=1)["error"]
    assert not result.exists()


@pytest.mark.parametrize("manifest", [b"{}", b"\xff\xfe"])
def test_a_damaged_manifest_does_not_count(backup_state: State, data: Path, manifest: bytes) -> None:
    good = backup_state.backup()["name"]
    bad = backup_state.backup()["name"]
    (data / "backups" / "manifests" / f"{bad}.json").write_bytes(manifest)
    listed = backup_state.backup("--list")["backups"]
    assert {entry["name"]: entry["complete"] for entry in listed} == {bad: False, good: True}
    assert "cannot be read" in backup_state.restore(bad, code=1)["error"]
    assert backup_state.restore("latest", "--overwrite")["name"] == good


def test_a_backup_of_a_newer_release_is_refused(backup_state: State, data: Path) -> None:
    with closing(sqlite3.connect(data / "voice.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    backup_state.backup()
    backup_state.set(DATABASE_URL="sqlite+aiosqlite:///new.db", BACKUP_TO=data / "backups")
    refused = backup_state.restore("latest", code=1)["error"]
    assert "9999, which this release does not know" in refused
    assert not Path("new.db").exists()


def test_a_database_that_is_not_empty_is_refused_unless_overwriting_is_said(backup_state: State, data: Path) -> None:
    backup_state.backup()
    add_user(data / "voice.db", "bob")
    assert re.search(r"not empty: it has \d+ tables", backup_state.restore("latest", code=1)["error"])
    assert users(data / "voice.db") == ["ann", "bob"]
    backup_state.restore("latest", "--overwrite")
    assert users(data / "voice.db") == ["ann"]


def test_a_backup_of_sqlite_does_not_go_into_postgres(backup_state: State, data: Path) -> None:
    backup_state.backup()
    assert data.exists()
    backup_state.set(DATABASE_URL="postgresql://voice@127.0.0.1/voice", STORAGE_KEYS="")
    refused = backup_state.restore("latest", code=1)["error"]
    assert "The backup is of sqlite" in refused


def test_the_overwritten_database_may_be_open_and_readers_see_the_restored_one(backup_state: State, data: Path) -> None:
    backup_state.backup()
    add_user(data / "voice.db", "bob")
    with closing(sqlite3.connect(data / "voice.db")) as reader:
        assert reader.execute("SELECT count(*) FROM users").fetchone() == (2,)
        backup_state.restore("latest", "--overwrite")
        assert reader.execute("SELECT id FROM users").fetchall() == [("ann",)]


@pytest.mark.usefixtures("data")
def test_old_backups_are_deleted_whole_after_a_new_one(backup_state: State, tmp_path: Path) -> None:
    place = tmp_path / "place"
    backup_state.set(BACKUP_TO=place)
    old = [make_old(backup_state, place, days) for days in (1, 20, 30)]
    fourth = backup_state.backup()
    assert fourth["deleted"] == [old[2]]
    listed = backup_state.backup("--list")["backups"]
    assert [entry["name"] for entry in listed] == [fourth["name"], *old[:2]]
    assert {path.name.partition(".")[0] for path in place.glob("*/*")} == {fourth["name"], *old[:2]}


def make_old(state: State, place: Path, days: int) -> str:
    """A backup that was made so many days ago. Returns its name."""
    began_at = datetime.now(UTC) - timedelta(days=days)
    made, old = state.backup()["name"], new_name(began_at)
    (place / "dumps" / f"{made}.dump").rename(place / "dumps" / f"{old}.dump")
    manifest = place / "manifests" / f"{made}.json"
    manifest.with_name(f"{old}.json").write_text(json.dumps(json.loads(manifest.read_text()) | {"name": old}))
    manifest.unlink()
    (place / "files" / old / "results").mkdir(parents=True)
    (place / "files" / old / "results" / "a.wav").write_bytes(b"spoken")
    return old


@pytest.mark.usefixtures("data")
def test_a_dump_without_a_manifest_does_not_count(backup_state: State, s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    backup_state.in_bucket(s3_server, bucket)
    whole = backup_state.backup()["name"]
    unfinished = new_name(datetime.now(UTC) + timedelta(seconds=5))
    s3_server.client.put_object(Bucket=bucket, Key=f"backups/dumps/{unfinished}.dump", Body=b"half")
    listed = backup_state.backup("--list")["backups"]
    assert [(entry["name"], entry["complete"]) for entry in listed] == [(unfinished, False), (whole, True)]
    assert "was never finished" in backup_state.restore(unfinished, code=1)["error"]
    backup_state.set(DATABASE_URL="sqlite+aiosqlite:///new.db")
    assert backup_state.restore("latest")["name"] == whole


@pytest.mark.usefixtures("data")
def test_a_place_that_does_not_answer_is_said_in_one_line(backup_state: State, s3_server: S3Server) -> None:
    backup_state.in_bucket(s3_server, "no-such-bucket")
    assert "no such bucket" in backup_state.backup(code=1)["error"]
    with FaultyProxy(s3_server.port) as proxy:
        proxy.fault = Fault(reset_after=0)
        bucket, url = s3_server.new_bucket(), f"http://127.0.0.1:{proxy.port}"
        backup_state.in_bucket(s3_server, bucket)
        backup_state.set(S3_ENDPOINT_URL=url)
        assert bucket in backup_state.backup(code=1)["error"]
    assert backup_state.restore("latest", code=1)["error"].count("\n") == 0


def test_a_database_that_is_missing_empty_or_foreign_is_not_backed_up(backup_state: State, tmp_path: Path) -> None:
    assert "no tables of this service" in backup_state.backup(code=1)["error"]
    (tmp_path / "data").mkdir(exist_ok=True)
    sqlite3.connect(tmp_path / "data" / "voice.db").close()
    assert "no tables of this service" in backup_state.backup(code=1)["error"]
    (tmp_path / "data" / "voice.db").write_bytes(b"no database" * 1000)
    assert "DatabaseError" in backup_state.backup(code=1)["error"]
    assert not list((tmp_path / "data" / "backups").glob("*/*"))


@pytest.mark.parametrize("place", ["ftp://host/x", "s3://bucket/../x", "s3://"])
def test_a_place_that_is_none_is_wrong_usage(backup_state: State, place: str) -> None:
    backup_state.set(BACKUP_TO=place)
    assert place in backup_state.backup(code=2)["error"]


def test_a_backup_of_sqlite_is_of_one_moment_while_others_write(backup_state: State, data: Path) -> None:
    ended = threading.Event()

    def write() -> None:
        """Each user with a line in the log, in one transaction."""
        with closing(sqlite3.connect(data / "voice.db", timeout=30)) as connection:
            while not ended.is_set():
                with connection:
                    user = uuid4().hex
                    connection.execute("INSERT INTO users VALUES (?, '2026-11-21')", [user])
                    connection.execute(
                        "INSERT INTO audit_log (at, user_id, action, subject, outcome)"
                        " VALUES ('2026-11-21', ?, 'profile.save', 'x', 'completed')",
                        [user],
                    )

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        made = [backup_state.backup() for _ in range(3)]
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    backup_state.set(DATABASE_URL="sqlite+aiosqlite:///new.db")
    backup_state.restore(made[1]["name"])
    with closing(sqlite3.connect("new.db")) as connection:
        (events,) = connection.execute("SELECT count(*) FROM audit_log").fetchone()
    assert 1 < len(users(Path("new.db"))) == events + 1 < len(users(data / "voice.db"))  # ann is in no log


def test_a_place_where_no_database_can_be_is_said_in_one_line(backup_state: State, data: Path) -> None:
    backup_state.backup()
    assert data.exists()
    backup_state.set(DATABASE_URL="sqlite+aiosqlite:////dev/null/x/new.db")
    assert backup_state.restore("latest", code=1)["error"] == "The database /dev/null/x/new.db: Not a directory."


@pytest.mark.usefixtures("data")
def test_an_interrupted_upload_does_not_count_and_leaves_nothing_on_this_machine(
    backup_state: State, tmp_path: Path, s3_server: S3Server
) -> None:
    bucket = s3_server.new_bucket()
    with FaultyProxy(s3_server.port) as proxy:
        backup_state.in_bucket(s3_server, bucket, S3_PREFIX="voice")
        whole = backup_state.backup()["name"]
        backup_state.set(S3_ENDPOINT_URL=f"http://127.0.0.1:{proxy.port}")
        process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "backup.py"], stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        try:
            while not uploads(s3_server, bucket):
                assert process.poll() is None
                proxy.fault = Fault(latency=0.4)  # each answer is late, so that it is met in the middle
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (143, "Stopped.\n")
    assert uploads(s3_server, bucket) == []
    assert [path for path in tmp_path.iterdir() if path.name.startswith("voice-backup-")] == []
    backup_state.set(S3_ENDPOINT_URL=s3_server.endpoint)
    assert [entry["name"] for entry in backup_state.backup("--list")["backups"]] == [whole]


def uploads(server: S3Server, bucket: str) -> list[Any]:
    found: list[Any] = server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return found
