"""Deletions under kill: whatever is killed midway, nothing is left."""

import random
from pathlib import Path

import pytest

from tests.attacks.deletion_kills import Backing, kill_in_deletions
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.support.reporting import either, say

pytestmark = pytest.mark.timeout(3000)

KILLS = either(25, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


async def attack(where: str, backing: Backing, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = await kill_in_deletions(backing, KILLS, random.Random())
    median, worst = sorted(outcome.seconds)[len(outcome.seconds) // 2], max(outcome.seconds)
    say(
        capsys,
        f"deletion on {where}: {outcome.kills} kills, {outcome.unheard} callers not answered, {outcome.again} asked"
        f" again, nothing left, gone after {median:.1f} s (median), {worst:.1f} s (worst)",
    )
    assert outcome.kills == KILLS


async def test_on_sqlite_and_local_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backing = Backing(folder, f"sqlite+aiosqlite:///{folder / 'voice.db'}")
    await attack("SQLite and local files", backing, capsys)


async def test_on_postgres_redis_and_s3(
    folder: Path,
    postgres: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket = s3_server.new_bucket()
    s3_server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    backing = Backing(folder, postgres.ready_database(), redis_server, s3_server, bucket)
    await attack("Postgres, Redis and S3 with versions", backing, capsys)
