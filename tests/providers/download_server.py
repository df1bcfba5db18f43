"""File servers of the project's own, with ranges and ETags, that fail as a test says: plain, like the hub, like S3."""

import hashlib
import hmac
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, quote, urlsplit


@dataclass(frozen=True)
class Served:
    """`location`: it redirects there with `status`. `headers`: of every answer for this path."""

    body: bytes = b""
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None
    status: int = 302


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer. `status`: no file, only this. Offsets are of the file, times in seconds."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None  # the connection ends there
    reset: bool = False  # with a reset
    hang: float = 0.0  # before it ends
    corrupt_at: int | None = None
    content_length: int | None = None  # said, not sent
    no_range: bool = False
    delay: float = 0.0
    drip: float = 0.0  # between bytes
    before: Callable[[], None] | None = None  # called when the request is there


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]


class DownloadServer:
    """Serves `files`. Each GET takes the next of `faults`, each HEAD the next of `head_faults`, while there are any."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.head_faults: deque[Fault] = deque()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def put(self, path: str, body: bytes, *, etag: str | None = None) -> None:
        """`etag` None: one of the content."""
        self.files[path] = Served(body, etag or f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')

    def begun(self, method: str = "GET") -> list[str | None]:
        """The Range of every request of that method, in order; None: the whole file."""
        return [request.headers.get("Range") for request in self.requests if request.method == method]

    def refusal(self, request: Request) -> int | None:
        """A status for a caller who may not; None lets everyone in."""
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class HubServer(DownloadServer):
    """As the hub answers: large files redirect to `content`, small ones to a path of the hub's own."""

    def __init__(self, content: DownloadServer) -> None:
        super().__init__()
        self._content = content

    def publish(self, path: str, body: bytes, *, large: bool) -> None:
        if large:
            digest = hashlib.sha256(body).hexdigest()
            self._content.put(f"/blobs/{digest}", body)
            linked = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(body))}
            self.files[path] = Served(b"moved", None, linked, f"{self._content.url}/blobs/{digest}?signature=secret")
        else:
            blob = hashlib.sha1(f"blob {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()
            self.files[path] = Served(b"moved", None, {}, f"/api/resolve-cache{path}", 307)
            self.files[f"/api/resolve-cache{path}"] = Served(body, f'"{blob}"')


class S3Server(DownloadServer):
    """GetObject and HeadObject of an S3 service for addresses signed with its key (Signature Version 4)."""

    KEY, SECRET, REGION = "the-key", "the-secret", "eu-west-1"

    def refusal(self, request: Request) -> int | None:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        signature = query.pop("X-Amz-Signature", "")
        date = query.get("X-Amz-Date", "")
        scope = f"{date[:8]}/{self.REGION}/s3/aws4_request"
        if query.get("X-Amz-Credential") != f"{self.KEY}/{scope}":
            return 403
        canonical_query = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
        canonical = "\n".join(
            (
                request.method,
                parts.path,
                canonical_query,
                f"host:{request.headers['Host']}",
                "",
                "host",
                "UNSIGNED-PAYLOAD",
            )
        )
        key = f"AWS4{self.SECRET}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        said = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        return None if hmac.new(key, said.encode(), "sha256").hexdigest() == signature else 403


class _Server(ThreadingHTTPServer):
    def __init__(self, owner: DownloadServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        owner = self.server.owner
        request = Request(self.command, self.path, dict(self.headers))
        owner.requests.append(request)
        faults = owner.head_faults if self.command == "HEAD" else owner.faults
        fault = faults.popleft() if faults else Fault()
        if fault.before is not None:
            fault.before()
        time.sleep(fault.delay)
        served = owner.files.get(urlsplit(self.path).path)
        status = fault.status or owner.refusal(request) or (404 if served is None else None)
        with suppress(OSError):
            if status is not None or served is None:
                self._head(status or 404, {**fault.headers, "Content-Length": "0"})
            elif served.location is not None:
                length = {"Content-Length": str(len(served.body))}
                self._head(served.status, {**served.headers, **length, "Location": served.location})
                self._send(served.body)
            else:
                self._file(served, fault)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _file(self, served: Served, fault: Fault) -> None:
        if self.headers.get("If-Match", served.etag) != served.etag:
            self._head(412, {"Content-Length": "0"})
            return
        total = len(served.body)
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        ranged = match is not None and not fault.no_range and self.headers.get("If-Range", served.etag) == served.etag
        start = int(match[1]) if match is not None and ranged else 0
        if start >= total > 0:
            self._head(416, {"Content-Length": "0", "Content-Range": f"bytes */{total}"})
            return
        headers = {
            **served.headers,
            **({"ETag": served.etag} if served.etag else {}),
            **({"Content-Range": f"bytes {start}-{total - 1}/{total}"} if ranged else {}),
            "Content-Length": str(total - start if fault.content_length is None else fault.content_length),
            **fault.headers,
        }
        self._head(206 if ranged else 200, headers)
        body = bytearray(served.body)
        if fault.corrupt_at is not None:
            body[fault.corrupt_at] ^= 0xFF
        self._send(bytes(body[start : fault.cut_at]), fault.drip)
        time.sleep(fault.hang)
        if fault.reset:
            # A linger of zero seconds makes the close a reset, which drops what the client has not read yet.
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault.reset or fault.cut_at is not None:
            self.close_connection = True

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes, drip: float = 0.0) -> None:
        if self.command == "HEAD":
            return
        size = 1 if drip else max(1, len(body))
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            time.sleep(drip)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""
