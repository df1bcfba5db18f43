"""Calls to S3 off the event loop: a few threads, a deadline for each call, and errors of our own."""

import asyncio
import base64
import hashlib
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import boto3
import urllib3
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from src.domain.errors import DeadlineExceeded, EngineUnavailable, NotFound, VoiceServiceError

logger = logging.getLogger(__name__)

T = TypeVar("T")

CUT_SHORT = (HTTPClientError, ConnectionClosedError, urllib3.exceptions.HTTPError, OSError)
"""What reading a body raises when the connection breaks or falls silent."""

_RETRY_AFTER_SECONDS = 5.0
_SET_UP_SECONDS = 60.0  # boto3 reads its descriptions of S3, and may ask the machine for its role
_REFRESH_SECONDS = 60.0  # botocore renews credentials that expire within 15 minutes
_READ_TIMEOUTS = (ReadTimeoutError, urllib3.exceptions.ReadTimeoutError, TimeoutError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
_NO_CHECKSUMS = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})
_NOT_THERE = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where the bucket is and how it is called. `endpoint_url` None: Amazon's; `access_key_id` None: boto3 looks for
    credentials in the environment, its files, and the machine's role.

    A call takes at most `timeout_seconds`, with all its attempts; `connections` calls run at a time. `page_keys`: names
    in one listing or deletion; S3 allows 1000.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    public_endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 2.0
    timeout_seconds: float = 10.0
    attempts: int = 3
    connections: int = 16
    page_keys: int = 1000


class S3Calls:
    """Runs functions that call boto3's client, each in one of `connections` threads."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._pool = ThreadPoolExecutor(options.connections, thread_name_prefix="s3")
        self._clients: list[Any] = []
        self._refresh: asyncio.Task[None] | None = None

    async def start(self) -> tuple[Any, Any]:
        """The client for calls, and the one that signs addresses; they may be one. Raises EngineUnavailable."""
        made = asyncio.to_thread(_translated_call, "set-up", _make_clients, (self._options,))
        try:
            client, signer, credentials = await asyncio.wait_for(made, _SET_UP_SECONDS)
        except TimeoutError:
            raise too_slow() from None
        self._clients = [client, signer]
        if isinstance(credentials, RefreshableCredentials):
            self._refresh = asyncio.create_task(self._keep_fresh(credentials))
        return client, signer

    async def close(self) -> None:
        """Let calls end that have begun, within their time, and close the connections."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.timeout_seconds):
                await asyncio.to_thread(self._pool.shutdown)
        for client in self._clients:
            client.close()

    async def run(self, what: str, work: Callable[..., T], *args: Any, uninterrupted: bool = False) -> T:
        """`work(*args)` in a thread. `what` names it in the log.

        Raises NotFound, DeadlineExceeded, EngineUnavailable. `uninterrupted`: a caller that is cancelled waits until
        the thread is done, so that nothing is written afterwards.
        """
        deadline = time.monotonic() + self._options.timeout_seconds
        try:
            future = self._pool.submit(_translated_call, what, work, args)
        except RuntimeError:
            raise EngineUnavailable("The service stops.", retry_after_seconds=_RETRY_AFTER_SECONDS) from None
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_mark_seen)
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                return await asyncio.shield(waiting)
        except TimeoutError:
            future.cancel()  # where it still waits for a thread
            logger.warning("S3 %s: no answer within %g s", what, self._options.timeout_seconds)
            raise too_slow() from None
        except asyncio.CancelledError:
            if not future.cancel() and uninterrupted:
                await asyncio.wait([waiting], timeout=max(0.0, deadline - time.monotonic()))
            raise

    async def _keep_fresh(self, credentials: RefreshableCredentials) -> None:
        """Renew credentials here, so that signing an address on the event loop never waits for their source."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            with suppress(VoiceServiceError):  # logged; the next one tries again
                await self.run("credentials", credentials.get_frozen_credentials)


class _Checksums:
    """Goes on without S3's newer checksums from the first answer on that refuses their headers: then Content-MD5 guards
    what is sent. What is stored has its own SHA-256 all the same.
    """

    def __init__(self, client: Any) -> None:
        self._refused = False
        client.meta.events.register("needs-retry.s3", self._once_more)
        client.meta.events.register("before-parameter-build.s3.CompleteMultipartUpload", self._strip_parts)
        client.meta.events.register("before-sign.s3", self._strip)

    def _once_more(self, response: Any, attempts: int, request_dict: Any, **_: Any) -> float | None:
        """Seconds to wait before it. None: it is no matter of checksums."""
        code = response[1].get("Error", {}).get("Code") if response else None
        if code not in _NO_CHECKSUMS or attempts > 1 or not _checksums_in(request_dict["headers"]):
            return None
        if not self._refused:
            logger.warning("the bucket's server refuses checksums of SHA-256: Content-MD5 is sent instead")
        self._refused = True
        return 0.0

    def _strip(self, request: Any, **_: Any) -> None:
        named = _checksums_in(request.headers)
        if not self._refused or not named:
            return
        for name in named:
            del request.headers[name]
        body = request.body.getvalue() if isinstance(request.body, io.BytesIO) else request.body
        if isinstance(body, bytes):
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            request.headers["Content-MD5"] = base64.b64encode(digest).decode()

    def _strip_parts(self, params: dict[str, Any], **_: Any) -> None:
        if self._refused:
            for part in params["MultipartUpload"]["Parts"]:
                part.pop("ChecksumSHA256", None)


def _checksums_in(headers: Iterable[str]) -> list[str]:
    return [name for name in headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-"))]


def _make_clients(options: S3Options) -> tuple[Any, Any, Any]:
    session = boto3.session.Session(
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        region_name=options.region,
    )
    config = Config(
        signature_version="s3v4",
        connect_timeout=min(options.connect_timeout_seconds, options.timeout_seconds),
        # an attempt that hears nothing leaves time for the next one
        read_timeout=options.timeout_seconds / options.attempts,
        retries={"total_max_attempts": options.attempts, "mode": "standard"},
        max_pool_connections=options.connections,
        # each file has its own SHA-256, and other servers than Amazon's do not all know the newer checksums
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if options.endpoint_url else "auto"},
    )
    try:
        client = session.client("s3", endpoint_url=options.endpoint_url, config=config)
        _Checksums(client)
        public = options.public_endpoint_url
        signer = session.client("s3", endpoint_url=public, config=config) if public else client
    except ValueError as error:  # so boto3 says that an address is none
        raise _unavailable("is not set up: S3_ENDPOINT_URL or S3_PUBLIC_ENDPOINT_URL is wrong") from error
    except OSError as error:
        raise _unavailable("is not set up: AWS_CA_BUNDLE has no certificates") from error
    return client, signer, session.get_credentials()


def _translated_call(what: str, work: Callable[..., T], args: tuple[Any, ...]) -> T:
    with _translated(what):
        return work(*args)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Errors of boto3 and of the connection become the service's. Their own words, which may quote a request, are kept
    out of the log.
    """
    try:
        yield
    except _READ_TIMEOUTS as error:
        logger.warning("S3 %s: too slow (%s)", what, type(error).__name__)
        raise too_slow() from error
    except ClientError as error:
        raise _of_answer(what, error) from error
    except _NO_CREDENTIALS as error:
        logger.error("S3 %s: no credentials were found", what)
        raise _unavailable("has no credentials: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY") from error
    except (*CUT_SHORT, BotoCoreError) as error:
        logger.warning("S3 %s: %s", what, type(error).__name__)
        raise _unavailable("does not answer") from error


def code_of(error: ClientError) -> str:
    """S3's own name of what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(what: str, error: ClientError) -> VoiceServiceError:
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _NOT_THERE:
        return NotFound("There is no such file.")
    logger.warning("S3 %s: %s (%s)", what, code, status)
    if code == "NoSuchBucket":
        return _unavailable("has no such bucket")
    if status in (401, 403):
        return _unavailable(f"refuses this service ({code})")
    return _unavailable("does not work")


def _unavailable(reason: str) -> EngineUnavailable:
    return EngineUnavailable(f"The storage {reason}. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS)


def too_slow() -> DeadlineExceeded:
    return DeadlineExceeded("The storage did not answer in time. Try again.", retry_after_seconds=_RETRY_AFTER_SECONDS)


def _mark_seen(future: "asyncio.Future[Any]") -> None:
    """A call that nobody waits for any more may fail without a line about it."""
    if not future.cancelled():
        future.exception()
