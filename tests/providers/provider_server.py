"""A translation provider of the project's own on a free port: a real HTTP server that fails as a test says."""

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Answer:
    """What a server says. `delay` seconds before it; `reset`: it drops the connection instead; `drip`: seconds between
    the bytes of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    drip: float = 0.0


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # with the query
    headers: Mapping[str, str]
    body: bytes
    at: float  # seconds of time.monotonic

    @property
    def json(self) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.body)
        return value


def as_json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), {"Content-Type": "application/json"})


class ProviderServer:
    """Answers with `faults` in turn while there are any, or with `always` when set; else as its subclass does."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.connections = 0
        self.requests: list[Request] = []
        self.faults: deque[Answer] = deque()
        self.always: Answer | None = None
        self.dropped = 0  # answers that nobody waited for any more
        self._server = _Server(self, address)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Request) -> Answer:
        """What the provider says when nothing is wrong with it."""
        raise NotImplementedError

    def handle(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.faults:
            return self.faults.popleft()
        return self.always or self.answer(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def deaf_address() -> Iterator[str]:
    """The URL of a host that does not answer to a connection: its queue of them is full."""
    with socket.socket() as listener, ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of connections that wait; above it the kernel resets some

    def __init__(self, provider: ProviderServer, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.provider = provider

    def verify_request(self, request: object, client_address: object) -> bool:
        """Called for each connection before anything is read from it."""
        self.provider.connections += 1
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # head and body in one packet
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, dict(self.headers), body, time.monotonic())
        answer = self.server.provider.handle(request)
        time.sleep(answer.delay)
        try:
            self._say(answer)
        except OSError:
            self.server.provider.dropped += 1

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST  # noqa: N815 - the names are http.server's

    def _say(self, answer: Answer) -> None:
        if answer.reset:
            # A linger of zero seconds makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(answer.status)
        length = {} if "Transfer-Encoding" in answer.headers else {"Content-Length": str(len(answer.body))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        size = 1 if answer.drip else max(1, len(answer.body))
        for start in range(0, len(answer.body), size):
            self.wfile.write(answer.body[start : start + size])
            self.wfile.flush()
            time.sleep(answer.drip)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
