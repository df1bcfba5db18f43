"""An S3 endpoint on a free port: moto's server in a process of its own.

It knows multipart, checksums, encryption headers, lifecycle rules and paging, and accepts any key and signature: what
is signed has to be tested apart.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx

from tests.servers.ports import free_port

REGION = "eu-central-1"
KEY_ID, SECRET = "AKIATESTTESTTESTTEST", "secret-of-the-tests-secret-of-the-tests1"

_START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    port: int
    certificate: Path | None = None

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    @cached_property
    def client(self) -> Any:
        """A client of the tests' own, to look behind the service's back."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            verify=str(self.certificate) if self.certificate else None,
            region_name=REGION,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )

    def new_bucket(self) -> str:
        name = f"bucket-{uuid4().hex}"
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def keys(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def versions(self, bucket: str) -> list[str]:
        """The key of every version and delete marker."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
        found = [item for page in pages for item in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]
        return sorted(item["Key"] for item in found)


@contextmanager
def s3_running(folder: Path, certificate: Path | None = None, key: Path | None = None) -> Iterator[S3Server]:
    """The server, once it answers; its log is in `folder`. With a certificate it speaks TLS."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    command += ["--ssl", "--ssl-cert", str(certificate), "--ssl-key", str(key)] if certificate else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        server = S3Server(port, certificate)
        try:
            _await_answer(server, process, folder / "s3.log")
            yield server
        finally:
            process.terminate()
            process.wait(10)
            if "client" in vars(server):
                server.client.close()


def _await_answer(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(server.endpoint, timeout=5, verify=False)  # noqa: S501 - whether it is up
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(
        "moto's S3 server did not start; scripts/setup --dev installs it (tests/requirements.txt):\n"
        + log.read_text()[-2000:]
    )
