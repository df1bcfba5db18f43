"""A deletion whose process is killed leaves nothing: two kills each; many in tests/security."""

import random
from pathlib import Path

import pytest

from tests.attacks.deletion_kills import Backing, kill_in_deletions
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.timeout(300)


async def test_on_sqlite_and_local_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    outcome = await kill_in_deletions(
        Backing(folder, f"sqlite+aiosqlite:///{folder / 'voice.db'}"), 2, random.Random(1)
    )
    assert outcome.kills == 2


async def test_on_postgres_redis_and_a_bucket_with_versions(
    tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer, s3_server: S3Server
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    bucket = s3_server.new_bucket()
    s3_server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    backing = Backing(folder, postgres.ready_database(), redis_server, s3_server, bucket)
    assert (await kill_in_deletions(backing, 2, random.Random(2))).kills == 2
