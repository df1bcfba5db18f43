"""The full circle: a service works, is backed up, all is lost, and another one serves the old jobs and voices."""

import asyncio
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.migrate import migrate
from src.adapters.database.tables import audit_log, callbacks, revocations
from src.bootstrap.storage import new_key
from src.config.settings import Settings
from src.domain.identity import Revocation
from tests.servers.postgres import PostgresServer, name_of
from tests.servers.s3 import S3Server
from tests.support.backup_circle import State, backup_state, job_of, make_profile, profile_of, service, translate
from tests.support.pseudonyms import deleted as gone
from tests.support.tokens import AUDIENCE, ISSUER, SECRET, bearer, claims, hs256

__all__ = ["backup_state"]


def test_all_of_postgres_and_a_bucket_comes_back(
    backup_state: State, postgres: PostgresServer, s3_server: S3Server
) -> None:
    old, other = s3_server.new_bucket(), s3_server.new_bucket()
    place = f"s3://{other}/far/away"
    backup_state.in_bucket(s3_server, old, S3_PREFIX="voice")
    address = postgres.new_database()
    backup_state.set(DATABASE_URL=address)

    def lose_everything() -> None:
        postgres.sql(f"DROP DATABASE {name_of(address)}")
        backup_state.set(DATABASE_URL=postgres.new_database())
        backup_state.in_bucket(s3_server, s3_server.new_bucket(), S3_PREFIX="new")

    backup_state.set(BACKUP_TO=place)
    circle(backup_state, lose_everything)
    assert {key.split("/")[2] for key in s3_server.keys(other)} == {"manifests", "dumps", "files"}


def test_all_of_sqlite_and_a_folder_comes_back(backup_state: State, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"

    def lose_everything() -> None:
        kept = (tmp_path / "data" / "storage.key").read_text()  # elsewhere, as the backup has it not
        shutil.rmtree(tmp_path / "data")
        backup_state.set(DATA_DIR=tmp_path / "new", STORAGE_KEYS=kept)

    backup_state.set(BACKUP_TO=place)
    circle(backup_state, lose_everything)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [place, *place.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert stat.S_IMODE((tmp_path / "new" / "voice.db").stat().st_mode) == 0o600


def circle(backup_state: State, lose_everything: Callable[[], None]) -> None:
    with service() as http:
        profile_id = make_profile(http)
        jobs = [translate(http), translate(http, voice_profile_id=profile_id)]
        before = [job_of(http, job_id) for job_id in jobs], profile_of(http, profile_id)
    made = backup_state.backup("--with-files")
    # two answers, and two recordings of the voice with what was learned from them
    assert made["files"] == 5
    assert backup_state.backup("--verify", "latest")["files"] == 5

    lose_everything()
    done = backup_state.restore("latest")
    assert (done["name"], done["files_missing"], done["files_put_back"]) == (made["name"], [], 5)
    assert "What users deleted after the backup is back" in done["note"]
    with service() as http:
        assert ([job_of(http, job_id) for job_id in jobs], profile_of(http, profile_id)) == before
        assert before[0][0]["audio_base64"]
        assert before[0][0]["translated_text"]
        job_of(http, translate(http, voice_profile_id=profile_id))


def test_by_default_backups_lie_in_the_storage_beside_the_files(
    backup_state: State, postgres: PostgresServer, s3_server: S3Server
) -> None:
    bucket = s3_server.new_bucket()
    backup_state.in_bucket(s3_server, bucket, S3_PREFIX="voice")
    backup_state.set(DATABASE_URL=postgres.new_database())
    with service() as http:
        job_id = translate(http)
        before = job_of(http, job_id)
    name = backup_state.backup()["name"]
    kept = [f"voice/backups/dumps/{name}.dump", f"voice/backups/manifests/{name}.json"]
    assert [key for key in s3_server.keys(bucket) if "backups" in key] == kept
    backup_state.set(DATABASE_URL=postgres.new_database())
    assert backup_state.restore(name)["files_missing"] == []
    with service() as http:
        assert job_of(http, job_id) == before


def test_files_can_be_put_back_alone(backup_state: State, tmp_path: Path) -> None:
    with service() as http:
        job_id = translate(http)
        before = job_of(http, job_id)
    backup_state.backup("--with-files")
    shutil.rmtree(tmp_path / "data" / "audio")
    assert backup_state.restore("latest", "--files-only")["files_put_back"] == 1
    with service() as http:
        assert job_of(http, job_id) == before


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_deleted_and_revoked_after_the_backup_stays_so_when_its_database_is_overwritten(
    backup_state: State, kind: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    if kind == "postgres":
        backup_state.set(DATABASE_URL=postgres.new_database(), STORAGE_KEYS=new_key())
    with service() as http:
        profile_id, kept_profile = make_profile(http), make_profile(http)
        spoken = translate(http, voice_profile_id=profile_id)
        deleted, kept = translate(http), translate(http)
    address = Settings(_env_file=None).effective_database_url
    execute(postgres, address, _CALLBACK.replace("JOB", deleted))
    asyncio.run(revoke("before"))
    backup_state.backup("--with-files")
    shutil.copytree(tmp_path / "data" / "audio", tmp_path / "copy")
    with service() as http:
        http.delete(f"/api/v1/voice/profile/{profile_id}").raise_for_status()
        http.delete(f"/api/v1/voice/job/{deleted}").raise_for_status()
        later = make_profile(http)
    asyncio.run(revoke("after"))
    # the storage, too, was brought back from before
    shutil.copytree(tmp_path / "copy", tmp_path / "data" / "audio", dirs_exist_ok=True)

    done = backup_state.restore("latest", "--overwrite")
    assert done["deleted_again"] == [f"profile:{profile_id}", f"job:{deleted}"]
    assert (done["carried_over"], done["files_missing"]) == (True, [])
    with service() as http:
        for path in (f"profile/{profile_id}", f"profile/{later}", f"job/{spoken}", f"job/{deleted}"):
            assert http.get(f"/api/v1/voice/{path}").status_code == 404, path
        job_of(http, kept)
        profile_of(http, kept_profile)
    # of the profile that was kept, the answer of the job, and of the later profile what the service sweeps away
    assert len(files_to_stay(tmp_path / "data" / "audio")) == 4 + 3
    events, revoked, messages = asyncio.run(left())
    assert events.count(("profile.save", f"profile:{kept_profile}")) == 1
    assert events.count(("profile.delete", f"profile:{gone(tmp_path / 'data', profile_id)}")) == 2
    assert events.count(("job.delete", f"job:{gone(tmp_path / 'data', deleted)}")) == 2  # and again
    assert revoked == ["after", "before"]
    assert messages == 0


async def revoke(subject: str) -> None:
    database = Database(Settings(_env_file=None).effective_database_url)
    until = datetime.now(UTC)
    await SqlRevocations(database).add(Revocation(subject, until, until + timedelta(hours=1)))
    await database.close()


_CALLBACK = """
    INSERT INTO callbacks (id, job_id, user_id, url, host, type, data, attempts, next_attempt_at, created_at) VALUES
    ('c', 'JOB', 'local', 'https://example.org', 'example.org', 'job', '{}', 0, '2099-01-01', '2026-11-21')
"""


def files_to_stay(audio: Path) -> list[str]:
    """All but those that the service erases once it runs."""

    async def planned() -> tuple[str, ...]:
        database = Database(Settings(_env_file=None).effective_database_url)
        paths = tuple(row.path for row in await database.read(select(erasures.c.path)))
        await database.close()
        return paths

    erased, files = asyncio.run(planned()), [path for path in audio.rglob("*") if path.is_file()]
    return [name for file in files if not (name := file.relative_to(audio).as_posix()).startswith(erased)]


async def left() -> tuple[list[tuple[str, str]], list[str], int]:
    """Of the audit log, the revocations, and the messages to callers' servers."""
    database = Database(Settings(_env_file=None).effective_database_url)
    events = [tuple(row) for row in await database.read(select(audit_log.c.action, audit_log.c.subject))]
    revoked = [row.subject for row in await database.read(select(revocations).order_by(revocations.c.subject))]
    messages = len(await database.read(select(callbacks)))
    await database.close()
    return events, revoked, messages


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_user_who_was_deleted_after_the_backup_does_not_come_back_with_it(
    backup_state: State, kind: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    backup_state.set(AUTH_MODE="jwt", JWT_SECRET=SECRET, JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE)
    if kind == "postgres":
        backup_state.set(DATABASE_URL=postgres.new_database(), STORAGE_KEYS=new_key())
    tokens = {user: bearer(hs256().token(claims(user))) for user in ("ann-who-leaves", "bob-who-stays")}
    profiles, jobs = {}, {}
    with service() as http:
        for user, token in tokens.items():
            http.headers.update(token)
            profiles[user] = make_profile(http)
            jobs[user] = translate(http, voice_profile_id=profiles[user])
    backup_state.backup("--with-files")
    with service() as http:
        http.delete("/api/v1/me", headers=tokens["ann-who-leaves"]).raise_for_status()

    done = backup_state.restore("latest", "--overwrite")
    assert done["deleted_again"] == ["user:ann-who-leaves"]
    with service() as http:
        http.headers.update(tokens["bob-who-stays"])
        assert profile_of(http, profiles["bob-who-stays"])["profile_id"] == profiles["bob-who-stays"]
        job_of(http, jobs["bob-who-stays"])
    # all of bob: two recordings, what was learned from them, and an answer
    assert len(files_to_stay(tmp_path / "data" / "audio")) == 4


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_backup_of_an_earlier_release_is_brought_to_the_schema_of_this_one(
    backup_state: State, kind: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    backup_state.set(STORAGE_KEYS=new_key())

    def fresh() -> str:
        number = len(list(tmp_path.glob("*.db")))
        address = postgres.new_database() if kind == "postgres" else f"sqlite+aiosqlite:///{tmp_path}/{number}.db"
        backup_state.set(DATABASE_URL=address)
        return address

    address = fresh()
    migrate(make_url(address), "0001")
    for statement in _ROWS_OF_THE_FIRST_RELEASE:
        execute(postgres, address, statement)
    made = backup_state.backup()
    assert made["source"]["schema_revision"] == "0001"
    fresh()
    done = backup_state.restore("latest")
    assert done["files_missing"] == ["embeddings/p.voice", "inputs/running.wav", "references/p.wav"]
    with service() as http:
        assert profile_of(http, "p")["name"] == "Ann's voice"
        assert http.get("/api/v1/voice/job/running").json()["status"] in ("pending", "processing", "failed")


_ROWS_OF_THE_FIRST_RELEASE = [
    "INSERT INTO users VALUES ('local', '2026-11-21 10:00:00')",
    """
    INSERT INTO voice_profiles VALUES (
        'p', 'local', 'Ann''s voice', 120, 'medium', 0.2, 3, 'embeddings/p.voice', 'references/p.wav', 'I agree.',
        '2026-11-21 10:00:00', '2026-11-21 10:00:00', '2026-11-21 10:00:00'
    )
    """,
    """
    INSERT INTO translation_jobs VALUES (
        'running', 'local',
        '{"audio_format": "wav", "target_language": "es", "source_language": "en", "voice_profile_id": null,
          "quality": "balanced", "preserve_emotion": true, "return_audio_url": true, "return_base64": true}',
        NULL, 'inputs/running.wav', 'processing', 'transcription', 1, NULL, NULL,
        '2026-11-21 10:00:00', '2026-11-21 10:00:00'
    )
    """,
]


def execute(postgres: PostgresServer, address: str, statement: str) -> None:
    if address.startswith("postgresql"):
        postgres.sql(statement, name_of(address))
        return
    with closing(sqlite3.connect(make_url(address).database or "")) as connection, connection:
        connection.execute(statement)
