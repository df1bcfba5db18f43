"""Mirrors in S3: boto3 finds the credentials and signs addresses; the bytes come as from any other server.

So an S3 download has the same deadlines, retries and ranges as every other, and the signed addresses of one request are
valid for minutes only. AWS_ENDPOINT_URL names another service than Amazon's.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from scripts.downloads.errors import Refused

_VALID_SECONDS = 900  # of a signed address: for the request to begin; a body that has begun may take longer


class Bucket:
    """Addresses below s3://bucket/prefix. Raises Refused: no boto3, no credentials, or not such an address."""

    # S3 documents If-Match for GetObject, and not If-Range; a failed one is 412.
    condition = "If-Match"

    def __init__(self, url: str, connect_seconds: float, read_seconds: float) -> None:
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url)
        if match is None:
            raise Refused(f"{url} is not of the form s3://bucket/prefix.")
        self._bucket, self._prefix = match[1], (match[2] or "").strip("/")
        self._client = _client(connect_seconds, read_seconds)

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def host(self) -> str | None:
        """Of AWS_ENDPOINT_URL, which may be an http:// address within one's own network."""
        endpoint: str = self._client.meta.endpoint_url
        return urlsplit(endpoint).hostname

    def url(self, path: str, *, head: bool = False) -> str:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - there, as the client was made

        key = f"{self._prefix}/{path}" if self._prefix else path
        try:
            signed: str = self._client.generate_presigned_url(
                "head_object" if head else "get_object",
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=_VALID_SECONDS,
            )
        except BotoCoreError as error:
            advice = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or another way that boto3 knows."
            raise Refused(f"{self} cannot be read: {str(error).rstrip('.')}. {advice}") from error
        return signed


def _client(connect_seconds: float, read_seconds: float) -> Any:
    try:
        import boto3  # noqa: PLC0415 - only for s3://
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError as error:
        raise Refused("s3:// needs the package boto3: install requirements.txt.") from error
    # The older signature, which boto3 still takes for addresses, works on few services.
    config = Config(signature_version="s3v4", connect_timeout=connect_seconds, read_timeout=read_seconds)
    try:
        return boto3.session.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise Refused(f"S3 is not set up: {error}") from error
