"""Deletions under kill, many of them: `scripts/test security` prints what came of it."""

import random
from pathlib import Path

import pytest

from tests.attacks.deletion_kills import Backing, Outcome, kill_in_deletions
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.support.reporting import say

pytestmark = pytest.mark.timeout(3000)

KILLS = 25


def told(where: str, outcome: Outcome) -> str:
    median, worst = sorted(outcome.seconds)[len(outcome.seconds) // 2], max(outcome.seconds)
    return (
        f"deletion on {where}: {outcome.kills} kills, {outcome.unheard} callers not answered, {outcome.again} asked"
        f" again, nothing left, gone after {median:.1f} s (median), {worst:.1f} s (worst)"
    )


async def test_on_sqlite_and_local_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder / 'voice.db'}"
    outcome = await kill_in_deletions(Backing(folder, url), KILLS, random.Random())
    say(capsys, told("SQLite and local files", outcome))
    assert outcome.kills == KILLS


async def test_on_postgres_redis_and_s3(
    tmp_path: Path,
    postgres: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    bucket = s3_server.new_bucket()
    s3_server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    backing = Backing(folder, postgres.new_database(), redis_server, s3_server, bucket)
    outcome = await kill_in_deletions(backing, KILLS, random.Random())
    say(capsys, told("Postgres, Redis and S3 with versions", outcome))
    assert outcome.kills == KILLS
