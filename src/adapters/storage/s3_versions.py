"""Older versions of objects, where the bucket keeps them, and parts of uploads that did not end: a deletion is to reach
them, too. Everything here blocks.
"""

import logging
from typing import Any

from botocore.exceptions import ClientError

from src.adapters.storage.s3_calls import S3Options, code_of
from src.domain.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_REFUSED = frozenset({"AccessDenied", "AllAccessDisabled", "403"})
_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})

Version = dict[str, str]
"""`Key` and `VersionId`, as a deletion names them."""

Marker = dict[str, str]
"""Where a page ended. Empty: at the beginning."""


class Versions:
    """Of one bucket. What the bucket's owner does not permit is said once in the log and, until the next start, by
    `notice`; then the bucket's lifecycle rules erase older versions a day later.
    """

    def __init__(self, client: Any, options: S3Options) -> None:
        self._client = client
        self._bucket = {"Bucket": options.bucket}
        self._page_keys = options.page_keys
        self.kept = False
        self.notice: str | None = None

    def look(self) -> None:
        """Whether the bucket keeps them, and whether they may be listed: to be called at the start."""
        try:
            self.kept = "Status" in self._client.get_bucket_versioning(**self._bucket)
        except ClientError as error:
            if code_of(error) in _UNKNOWN:
                return
            if code_of(error) not in _REFUSED:
                raise
            self.kept = True  # perhaps: the listing tells
        if self.kept:
            self._page({"MaxKeys": 1})

    def page(self, prefix: str, marker: Marker, written_before: float) -> tuple[list[Version], Marker | None]:
        """Versions and delete markers of keys that begin with `prefix`; and what to go on with, None at the end."""
        page = self._page({"Prefix": prefix, "MaxKeys": self._page_keys, **marker})
        items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        old = [
            {"Key": item["Key"], "VersionId": item["VersionId"]}
            for item in items
            if item["LastModified"].timestamp() <= written_before
        ]
        if not page.get("IsTruncated"):
            return old, None
        return old, {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def delete(self, versions: list[Version]) -> None:
        """Those of a page at most. Raises EngineUnavailable when some are left."""
        if not versions:
            return
        objects = {"Objects": versions, "Quiet": True}
        answer = self._client.delete_objects(**self._bucket, Delete=objects, ChecksumAlgorithm="SHA256")
        errors = answer.get("Errors", [])
        if errors and {error.get("Code") for error in errors} <= _REFUSED:
            self.give_up(errors[0]["Code"])
        elif errors:
            raise left(errors, len(versions))

    def give_up(self, error: str) -> None:
        """Go on without: the bucket's owner does not permit it."""
        self.kept = False
        self.notice = (
            "storage: the bucket keeps older versions of what is deleted until its lifecycle rules erase them,"
            f" as this service may not ({error}): grant s3:ListBucketVersions and s3:DeleteObjectVersion"
        )
        logger.warning("%s", self.notice)

    def abort_uploads(self, prefix: str) -> None:
        """End those that were begun and not completed. Nothing happens where the bucket's owner does not permit it: the
        lifecycle rule erases them a day later.
        """
        try:
            found = self._client.list_multipart_uploads(**self._bucket, Prefix=prefix)
            for upload in found.get("Uploads", []):
                target = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self._client.abort_multipart_upload(**self._bucket, **target)
        except ClientError as error:
            if code_of(error) not in _REFUSED | _UNKNOWN | {"NoSuchUpload"}:
                raise
            logger.debug("unfinished uploads were not looked for: %s", code_of(error))

    def _page(self, start: dict[str, Any]) -> dict[str, Any]:
        """An empty one where it is refused."""
        try:
            page: dict[str, Any] = self._client.list_object_versions(**self._bucket, **start)
        except ClientError as error:
            if code_of(error) not in _REFUSED | _UNKNOWN:
                raise
            self.give_up(code_of(error))
            return {}
        return page


def left(errors: list[dict[str, Any]], wanted: int) -> EngineUnavailable:
    """What a deletion raises that did not do everything."""
    logger.warning("S3 delete: %d of %d files are left (%s)", len(errors), wanted, errors[0].get("Code"))
    return EngineUnavailable("The storage did not delete everything. Try again.", retry_after_seconds=5.0)
