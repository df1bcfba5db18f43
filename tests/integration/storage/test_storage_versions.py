"""Deletions in a bucket that keeps older versions, and where the service may not see them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from src.adapters.storage.s3 import S3Storage
from src.adapters.storage.s3_objects import PART_BYTES
from tests.servers.s3 import S3Server
from tests.support.storage_options import s3_options

PREFIX = "voice"


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = s3_server.new_bucket()
    s3_server.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
async def storage(s3_server: S3Server, bucket: str) -> AsyncIterator[S3Storage]:
    made = S3Storage(s3_options(s3_server, bucket=bucket, prefix=PREFIX, page_keys=3), 60)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def test_every_version_goes_with_the_file_and_no_neighbour(
    storage: S3Storage, s3_server: S3Server, bucket: str
) -> None:
    for version in range(5):
        await storage.put("references/a.wav", b"%d" % version)
        await storage.put("references/a.wave", b"%d" % version)
    s3_server.client.delete_object(Bucket=bucket, Key=f"{PREFIX}/references/a.wav")
    await storage.put("references/a.wav", b"again")
    await storage.delete("references/a.wav")
    assert s3_server.versions(bucket) == [f"{PREFIX}/references/a.wave"] * 5
    await storage.delete("references/a.wav")


async def test_every_version_goes_with_the_folder_and_none_is_left_as_a_marker(
    storage: S3Storage, s3_server: S3Server, bucket: str
) -> None:
    for number in range(4):
        for _ in range(2):
            await storage.put(f"results/a/{number}.wav", b"x")
    s3_server.client.delete_object(Bucket=bucket, Key=f"{PREFIX}/results/a/0.wav")
    await storage.put("results/ab/1.wav", b"x")
    assert await storage.delete_under("results/a", 3600) == 0
    assert await storage.delete_under("results/a") == 3
    assert s3_server.versions(bucket) == [f"{PREFIX}/results/ab/1.wav"]
    assert storage.notices() == ()


async def test_uploads_that_did_not_end_go_too(storage: S3Storage, s3_server: S3Server, bucket: str) -> None:
    for key in ("results/a/1.wav", "results/b/1.wav", "inputs/a.wav"):
        begun = s3_server.client.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}/{key}")
        part = {"PartNumber": 1, "Body": b"x" * PART_BYTES, "UploadId": begun["UploadId"]}
        s3_server.client.upload_part(Bucket=bucket, Key=f"{PREFIX}/{key}", **part)
    await storage.erase("results/a/")
    await storage.erase("inputs/a.wav")
    left = s3_server.client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == [f"{PREFIX}/results/b/1.wav"]


def refuse(storage: S3Storage, operation: str) -> None:
    """From now on the bucket's owner does not permit the operation."""

    def refused(**_: Any) -> AWSResponse:
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        return AWSResponse("http://bucket", 403, {"content-type": "application/xml"}, _Raw(body))

    storage._client.meta.events.register(f"before-send.s3.{operation}", refused)


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


@pytest.mark.parametrize("operation", ["ListObjectVersions", "DeleteObjects"])
async def test_where_it_may_not_the_files_go_all_the_same_and_an_operator_is_told(
    storage: S3Storage, s3_server: S3Server, bucket: str, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await storage.put("references/a.wav", b"x")
    if operation == "DeleteObjects":  # as S3 answers for each version, when that alone is not permitted
        storage._bucket.versions.delete = lambda versions: storage._bucket.versions.give_up("AccessDenied")  # type: ignore[method-assign]
    else:
        refuse(storage, operation)
    await storage.delete("references/a.wav")
    await storage.erase("references/a.wav")
    assert s3_server.keys(bucket) == []
    assert set(s3_server.versions(bucket)) == {f"{PREFIX}/references/a.wav"}, "versions are left to lifecycle rules"
    (notice,) = storage.notices()
    assert "s3:ListBucketVersions" in notice
    assert [record.getMessage() for record in caplog.records if "older versions" in record.getMessage()] == [notice]
