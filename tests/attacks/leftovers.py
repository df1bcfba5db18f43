"""Everything that a service keeps, wherever it does: tables, Redis, all versions of files in S3, files on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from botocore.exceptions import ClientError
from sqlalchemy import text

from src.adapters.database.engine import Database
from src.adapters.database.tables import metadata
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.support.waiting import files_under


async def rows(url: str) -> Iterator[tuple[str, bytes]]:
    """Over a connection that is closed again: `on_disk` reads SQLite's files, which takes this process's locks away."""
    database, found = Database(url), []
    try:
        for table in sorted(metadata.tables):
            there = await database.read(text(f"SELECT * FROM {table}"))  # noqa: S608 - our own tables
            found += [(f"table {table}", repr(tuple(row)).encode()) for row in there]
    finally:
        await database.close()
    return iter(found)


def in_redis(server: RedisServer) -> Iterator[tuple[str, bytes]]:
    reading = {
        b"string": lambda redis, key: redis.get(key),
        b"hash": lambda redis, key: repr(redis.hgetall(key)).encode(),
        b"set": lambda redis, key: repr(redis.smembers(key)).encode(),
        b"zset": lambda redis, key: repr(redis.zrange(key, 0, -1)).encode(),
        b"list": lambda redis, key: repr(redis.lrange(key, 0, -1)).encode(),
    }
    with server.client() as redis:
        for key in redis.scan_iter():
            value = reading[redis.type(key)](redis, key) or b""  # type: ignore[no-untyped-call, index]
            yield f"redis {key.decode()}", key + b" " + value


def in_bucket(server: S3Server, bucket: str) -> Iterator[tuple[str, bytes]]:
    """Every version of every object, delete markers, and uploads that were not completed."""
    pages = server.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:
        for item in page.get("Versions", []):
            try:
                found = server.client.get_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("NoSuchVersion", "NoSuchKey"):  # erased since it was listed
                    raise
                continue
            yield f"s3 {item['Key']}", item["Key"].encode() + b" " + found["Body"].read()
        for item in page.get("DeleteMarkers", []):
            yield f"s3 marker {item['Key']}", item["Key"].encode()
    for item in server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        yield f"s3 upload {item['Key']}", item["Key"].encode()


def on_disk(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in files_under(folder):
        try:
            yield f"file {path.relative_to(folder)}", str(path).encode() + b" " + path.read_bytes()
        except FileNotFoundError:
            continue


def found(places: Iterator[tuple[str, bytes]], needles: Sequence[bytes]) -> list[str]:
    """Where one of the needles is."""
    return [f"{place}: {needle[:40]!r}" for place, content in places for needle in needles if needle in content]
