"""Objects of a bucket: what is asked of boto3, and what its answers mean. Everything here blocks."""

import base64
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.exceptions import ClientError

from src.adapters.storage.s3_addresses import content_type
from src.adapters.storage.s3_calls import CUT_SHORT, S3Options, code_of, too_slow
from src.adapters.storage.s3_versions import Versions, left

logger = logging.getLogger(__name__)

PART_BYTES = 8 * 2**20
"""Larger files are written and read in parts of this size, each with attempts and a deadline of its own."""

_CHUNK_BYTES = 64 * 1024
_OTHER_VERSION = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_SHA256 = "sha256"  # name of our checksum among an object's metadata


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an object from some place on. `total` [bytes], `etag` and `sha256` (hex) are those of the whole."""

    data: bytes
    total: int
    etag: str
    sha256: str


class Replaced(Exception):
    """The object became another one while its parts were read."""


class Bucket:
    """One bucket through boto3's client. Names are whole keys, with the prefix."""

    def __init__(self, client: Any, options: S3Options) -> None:
        self._client = client
        self._options = options
        self._bucket = {"Bucket": options.bucket}
        self.versions = Versions(client, options)

    def ping(self) -> None:
        self._client.head_bucket(**self._bucket)

    def put(self, name: str, data: bytes, etag: str | None = None) -> None:
        """`etag`: only over this version. Raises Replaced, or what a missing object raises."""
        digest = hashlib.sha256(data)
        try:
            self._client.put_object(
                **self._bucket,
                Key=name,
                Body=data,
                ContentType=content_type(name),
                Metadata={_SHA256: digest.hexdigest()},
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=_base64(digest.digest()),
                **({"IfMatch": etag} if etag else {}),
            )
        except ClientError as error:
            if code_of(error) in _OTHER_VERSION:
                raise Replaced from error
            raise

    def begin_upload(self, name: str, sha256: str) -> dict[str, str]:
        """What names the upload in the calls that follow."""
        target = self._bucket | {"Key": name}
        begun = self._client.create_multipart_upload(
            **target,
            ContentType=content_type(name),
            Metadata={_SHA256: sha256},
            ChecksumAlgorithm="SHA256",
        )
        return target | {"UploadId": begun["UploadId"]}

    def put_part(self, upload: Mapping[str, str], number: int, data: bytes) -> dict[str, Any]:
        """Parts are numbered from 1. What comes back belongs into `complete_upload`."""
        checksum = _base64(hashlib.sha256(data).digest())
        answer = self._client.upload_part(**upload, PartNumber=number, Body=data, ChecksumSHA256=checksum)
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def complete_upload(self, upload: Mapping[str, str], parts: list[dict[str, Any]]) -> None:
        self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def abort_upload(self, upload: Mapping[str, str]) -> None:
        self._client.abort_multipart_upload(**upload)

    def read_part(self, name: str, start: int, etag: str | None) -> Part:
        """At most PART_BYTES from `start` on, of the version `etag`. Raises Replaced, DeadlineExceeded, CUT_SHORT."""
        deadline = time.monotonic() + self._options.timeout_seconds
        for attempt in range(1, self._options.attempts):
            try:
                return self._read_once(name, start, etag, deadline)
            except CUT_SHORT as error:
                if time.monotonic() >= deadline:
                    raise
                logger.warning("S3 get: cut short (%s) in attempt %d", type(error).__name__, attempt)
        return self._read_once(name, start, etag, deadline)

    def _read_once(self, name: str, start: int, etag: str | None, deadline: float) -> Part:
        wanted = self._bucket | {"Key": name} | ({"IfMatch": etag} if etag else {})
        try:
            answer = self._client.get_object(**wanted, Range=f"bytes={start}-{start + PART_BYTES - 1}")
        except ClientError as error:
            if code_of(error) == "PreconditionFailed":
                raise Replaced from error
            if code_of(error) != "InvalidRange" or start:
                raise
            answer = self._client.get_object(**wanted)  # an empty object has no ranges
        total = int(answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"])
        data = _read_body(answer, deadline)
        return Part(data, total, answer["ETag"], answer["Metadata"].get(_SHA256, ""))

    def delete(self, name: str) -> None:
        self._client.delete_object(**self._bucket, Key=name)

    def list_page(self, folder: str, after: str) -> list[dict[str, Any]]:
        """A page of objects, ordered by key. It goes on after a key, not a token, as pages are deleted meanwhile."""
        start = {"StartAfter": after} if after else {}
        page = self._client.list_objects_v2(**self._bucket, Prefix=folder, MaxKeys=self._options.page_keys, **start)
        found: list[dict[str, Any]] = page.get("Contents", [])
        return found

    def delete_all(self, names: list[str]) -> None:
        """Those of a page at most. Raises EngineUnavailable when some are left."""
        objects = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        answer = self._client.delete_objects(**self._bucket, Delete=objects, ChecksumAlgorithm="SHA256")
        if errors := answer.get("Errors"):
            raise left(errors, len(names))


def _read_body(answer: Mapping[str, Any], deadline: float) -> bytes:
    """All of it. Raises DeadlineExceeded also when bytes arrive, but too few of them; CUT_SHORT when they end early."""
    data, expected = bytearray(), int(answer["ContentLength"])
    with answer["Body"] as raw:
        while len(data) < expected:
            if time.monotonic() >= deadline:
                raise too_slow()
            chunk = raw.read1(min(_CHUNK_BYTES, expected - len(data)))
            if not chunk:
                raise urllib3.exceptions.IncompleteRead(len(data), expected - len(data))
            data += chunk
        raw.read()  # nothing is left; with this the connection may serve the next call
    return bytes(data)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
