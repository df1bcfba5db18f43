"""`scripts/revoke.py` beside a running service on Postgres and Redis: what it says, and what callers see."""

import asyncio
import getpass
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jwt

from scripts.revoke import main
from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.bootstrap.storage import new_key
from src.config.settings import Settings
from src.domain.jobs import AuditEvent
from src.main import create_app
from tests.conftest import serving
from tests.fakes.engines import fake_engines
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support.options import applied
from tests.support.pseudonyms import deleted

KEY = new_key()
SECRET = "a secret of at least thirty-two bytes"
JWT = {"auth_mode": "jwt", "jwt_secret": SECRET, "jwt_issuer": "us", "jwt_audience": "voice"}


def bearer(subject: str, token_id: str | None = None) -> dict[str, str]:
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": subject,
        "iss": "us",
        "aud": "voice",
        "iat": now,
        "exp": now + 600,
        "scope": "voice",
    }
    if token_id is not None:
        claims["jti"] = token_id
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


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


def _app(settings: dict[str, str]) -> Any:
    engines = fake_engines()
    made = Settings(_env_file=None, storage_keys=KEY, **settings)  # type: ignore[arg-type]
    with applied({"src.bootstrap.stores.RedisLink": {"timeout_seconds": 1.0}}):
        return create_app(made, engines)


def test_a_revoked_token_is_refused_at_once(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path, revoke: Command
) -> None:
    url = postgres.ready_database()
    settings = _settings(tmp_path, url, redis_server.url)
    with serving(_app(settings)) as at, httpx.Client(base_url=at, timeout=60) as http:
        lost, kept, bob = bearer("ann", "t-1"), bearer("ann", "t-2"), bearer("bob")
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
    with serving(_app(settings)) as at, httpx.Client(base_url=at, timeout=60) as http:
        assert status(http, bearer("ann"))[0] == 200
        postgres.stop()
        redis_server.stop()
        refused = http.get("/api/v1/languages", headers=bearer("bob"))  # it needs no database itself
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
        assert "retry-after" in refused.headers
        assert http.get("/health/live").status_code == 200
        redis_server.start()
        postgres.start()
        deadline = time.monotonic() + 20
        while status(http, bearer("bob"))[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_changes_to_profiles_and_jobs_are_in_the_audit_log(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'voice.db'}"
    settings = {**JWT, "data_dir": str(tmp_path), "database_url": url, "min_reference_seconds": "0.5"}
    consent = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
    with serving(_app(settings)) as at, httpx.Client(base_url=at, timeout=60, headers=bearer("ann")) as http:
        body: dict[str, Any] = {"reference_audio": "AAAA", "consent": consent, "name": "my own words"}
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
