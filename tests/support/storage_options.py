"""How the tests reach their S3 endpoint."""

from dataclasses import replace
from typing import Any

from src.adapters.storage.s3_calls import S3Options
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server

NO_KEYS = [
    "",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a//b",
    "a/",
    ".hidden",
    "a/.b",
    "a\\b",
    "a b",
    "a\n",
    "é",
    "a\0b",
    "a:b",
]
"""What no storage takes as a key."""


def s3_options(server: S3Server, **changes: Any) -> S3Options:
    """A new bucket on this server, unless `changes` name one."""
    options = S3Options(
        changes.pop("bucket", None) or server.new_bucket(),
        endpoint_url=server.endpoint,
        region=REGION,
        access_key_id=KEY_ID,
        secret_access_key=SECRET,
    )
    return replace(options, **changes)
