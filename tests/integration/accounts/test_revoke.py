"""`scripts/revoke.py` beside a running service on Postgres and Redis: what it says, and what callers see."""

import asyncio
import getpass
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scripts.revoke import main
from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.bootstrap.storage import new_key
from src.config.settings import Settings
from src.domain.jobs import AuditEvent
from tests.fakes.engines import served
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.messages import PROFILE
from tests.support.options import applied
from tests.support.pseudonyms import deleted
from tests.support.tokens import AUDIENCE, ISSUER, SECRET, as_user

KEY = new_key()
JWT = {"auth_mode": "jwt", "jwt_secret": SECRET, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}


@dataclass(frozen=True)
class Command:
    """`scripts/revoke.py`, in this process."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        with self.monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name.upper(), value)
            patch.setattr(sys, "argv", ["revoke.py", *arguments])
            code = main()
        return subprocess.CompletedProcess([], code, *self.capsys.readouterr())


@pytest.fixture
def revoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)  # no .env
    return Command(monkeypatch, capsys)


def status(http: httpx.Client, headers: dict[str, str]) -> tuple[int, str | None]:
    answer = http.get("/api/v1/usage", headers=headers)
    return answer.status_code, answer.json().get("code")


def audited(url: str, user_id: str) -> list[AuditEvent]:
    async def read() -> list[AuditEvent]:
        database = Database(url)
        try:
            return [recorded.event for recorded in await SqlAuditLog(database).about(user_id, 100)]
        finally:
            await database.close()

    return asyncio.run(read())


def _settings(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return {**JWT, "data_dir": str(folder), "database_url": database_url, "redis_url": redis_url}


@contextmanager
def service(settings: dict[str, str]) -> Iterator[httpx.Client]:
    made = Settings(_env_file=None, storage_keys=KEY, **settings)  # type: ignore[arg-type]
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 1.0}}), served(made) as http:
        yield http


def test_a_revoked_token_is_refused_at_once(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path, revoke: Command
) -> None:
    url = postgres.ready_database()
    settings = _settings(tmp_path, url, redis_server.url)
    with service(settings) as http:
        lost, kept, bob = as_user("ann", jti="t-1"), as_user("ann", jti="t-2"), as_user("bob")
        assert [status(http, token)[0] for token in (lost, kept, bob)] == [200, 200, 200]
        done = revoke("--token-id", "t-1", **settings)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("token:t-1: tokens issued until ")
        assert "not-asked-for" not in done.stdout + done.stderr  # the database's password
        assert status(http, lost) == (401, "unauthenticated")
        assert [status(http, token)[0] for token in (kept, bob)] == [200, 200]
        assert revoke("--user", "ann", **settings).returncode == 0
        assert status(http, kept) == (401, "unauthenticated")
        assert status(http, bob)[0] == 200
    said = [(event.action, event.subject) for event in audited(url, f"operator:{getpass.getuser()}")]
    assert said == [("token.revoke", "user:ann"), ("token.revoke", "token:t-1")]


def test_requests_are_refused_while_postgres_and_redis_are_away(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    settings = _settings(tmp_path, postgres.ready_database(), redis_server.url)
    with service(settings) as http:
        assert status(http, as_user("ann"))[0] == 200
        postgres.stop()
        redis_server.stop()
        refused = http.get("/api/v1/languages", headers=as_user("bob"))  # it needs no database itself
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
        assert "retry-after" in refused.headers
        assert http.get("/health/live").status_code == 200
        redis_server.start()
        postgres.start()
        deadline = time.monotonic() + 20
        while status(http, as_user("bob"))[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_changes_to_profiles_and_jobs_are_in_the_audit_log(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}"
    settings = {**JWT, "data_dir": str(tmp_path), "database_url": url, "min_reference_seconds": "0.5"}
    with service(settings) as http:
        http.headers.update(as_user("ann"))
        body = PROFILE | {"name": "my own words"}
        key = {"Idempotency-Key": "k"}
        answers = [http.post("/api/v1/voice/profile", json=body, headers=key).json() for _ in range(2)]
        profile = answers[0]["profile_id"]
        assert answers[1] == answers[0]
        job = http.post("/api/v1/voice/translate", json={"audio": "AAAA", "target_language": "es"}).json()["job_id"]
        assert http.delete(f"/api/v1/voice/job/{job}").status_code == 204
        assert http.delete(f"/api/v1/voice/profile/{profile}").status_code == 204
    events = audited(url, "ann")
    assert [(event.action, event.subject) for event in events][::-1] == [
        ("profile.save", f"profile:{deleted(tmp_path, profile)}"),
        ("job.delete", f"job:{deleted(tmp_path, job)}"),
        ("profile.delete", f"profile:{deleted(tmp_path, profile)}"),
    ]
    assert "words" not in str(events)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auth_mode": "off"}, "AUTH_MODE is off"),
        ({"jwt_secret": "short"}, "needs JWT_SECRET"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(
    changes: dict[str, str], said: str, tmp_path: Path, revoke: Command
) -> None:
    done = revoke("--user", "ann", **{**JWT, "data_dir": str(tmp_path), **changes})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "short" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_is_said_in_one_line(postgres: PostgresServer, tmp_path: Path, revoke: Command) -> None:
    url = postgres.ready_database().replace(str(postgres.port), "1")
    done = revoke("--user", "ann", **{**JWT, "data_dir": str(tmp_path), "database_url": url})
    assert (done.returncode, done.stdout) == (1, "")
    assert "Not revoked: " in done.stderr
    assert "Traceback" not in done.stderr
