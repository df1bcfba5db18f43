"""File servers with ranges, plain and like the hub, whose answers break off as a test says."""

import hashlib
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Served:
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class DownloadServer(ThreadingHTTPServer):
    """Serves `files`. A path in `cuts` gets that many bytes of the body, once for each; one in `stalls` gets them and
    then nothing until the test ends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.cuts: dict[str, deque[int]] = {}
        self.stalls: dict[str, int] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, range
        self.stalled, self.released = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def publish_at_hub(self, path: str, body: bytes, *, large: bool) -> None:
        """Large files redirect to a content network and are named by their SHA-256, small ones by git's."""
        if large:
            digest = hashlib.sha256(body).hexdigest()
            content = f"http://localhost:{self.server_address[1]}"  # another host, as the hub's is
            names = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(body)), "X-Repo-Commit": "c" * 40}
            self.files[path] = Served(b"", {**names, "Location": f"{content}/blobs/{digest}?signature=secret"}, 302)
            self.files[f"/blobs/{digest}"] = Served(body)
        else:
            blob = hashlib.sha1(f"blob {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()
            self.files[path] = Served(body, {"ETag": f'"{blob}"', "X-Repo-Commit": "c" * 40})

    def gets(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "GET"]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: DownloadServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, path, self.headers.get("Range")))
        served = self.server.files.get(path, Served(b"", {}, 404))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else served.status)
        total = len(served.body)
        ranged = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if asked else {}
        for name, value in {**served.headers, **ranged, "Content-Length": str(total - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(OSError):
                self._send(path, served.body, start)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _send(self, path: str, body: bytes, start: int) -> None:
        cuts = self.server.cuts.get(path)
        stall = self.server.stalls.get(path)
        self.wfile.write(body[start : cuts.popleft() if cuts else stall])
        if stall is not None:
            self.server.stalled.set()
            self.server.released.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


@contextmanager
def download_server() -> Iterator[DownloadServer]:
    with DownloadServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join(10)
