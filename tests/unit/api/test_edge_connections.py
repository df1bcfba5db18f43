"""Connections over real sockets: too slow, too many, with a head that is too long or may be read in two ways."""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Response

from src.api.connections import MAX_HEAD_BYTES, ConnectionLimits, guarded
from src.api.middleware import Edge
from tests.conftest import serving
from tests.support.edge_app import edge_app
from tests.support.options import applied
from tests.unit.api.test_edge_body import read_all

LIVE = b"GET /health/live HTTP/1.1\r\nHost: edge\r\n"
QUICK = ConnectionLimits(header_seconds=0.6, send_seconds=1.2)
BIG = 24 * 2**20


def app() -> FastAPI:
    made = edge_app(Edge(max_body_bytes=100_000))

    @made.get("/big")
    async def big() -> Response:
        return Response(b"x" * BIG)

    return made


@contextmanager
def limited(limits: ConnectionLimits) -> Iterator[str]:
    with serving(app(), http=guarded(limits), timeout_keep_alive=3) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def short_linger() -> Iterator[None]:
    """Callers here stop when they are refused; test_edge_body.py has those that go on."""
    with applied({"src.api.middleware.errors._IDLE_SECONDS": 0.3}):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with limited(QUICK) as url:
        yield url


def connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    port = urlsplit(url).port
    assert port
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_head_that_drips_is_given_up(server: str) -> None:
    with connect(server) as slow:
        began = time.monotonic()
        answer = b""
        slow.settimeout(0.05)
        for byte in (LIVE + b"X-Slow: " + b"x" * 1000)[:400]:
            slow.sendall(bytes([byte]))
            try:
                answer = slow.recv(65536)
                break
            except TimeoutError:
                continue
        slow.settimeout(20)
        assert status(answer) == 408
        assert b'"request_timeout"' in answer
        assert b"connection: close" in answer.lower()
        assert read_all(slow) == b""
        assert 0.5 < time.monotonic() - began < 10


def test_a_connection_that_says_nothing_is_closed_without_a_word(server: str) -> None:
    with connect(server) as idle:
        began = time.monotonic()
        assert read_all(idle) == b""
        assert 0.5 < time.monotonic() - began < 10


def test_the_second_request_on_a_connection_has_the_same_time(server: str) -> None:
    with connect(server) as slow, connect(server) as slower:
        for each in (slow, slower):
            each.sendall(LIVE + b"\r\n")
            assert status(each.recv(65536)) == 200
        time.sleep(0.8)  # a pause between requests is the keep-alive's business
        slow.sendall(b"G")
        slower.sendall(b"\r\n")
        began = time.monotonic()
        assert [status(read_all(each)) for each in (slow, slower)] == [408, 408]
        assert 0.4 < time.monotonic() - began < 10


def test_a_slow_body_is_not_a_slow_head(server: str) -> None:
    head = b"POST /api/v1/voice/translate HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\n"
    with connect(server) as slow:
        slow.sendall(head + b"Content-Length: 13\r\n\r\n")
        for byte in b'{"audio":"A"}':
            slow.sendall(bytes([byte]))
            time.sleep(0.1)
        assert status(slow.recv(65536)) == 200


def test_pipelined_requests_are_all_answered(server: str) -> None:
    with connect(server) as caller:
        caller.sendall((LIVE + b"\r\n") * 20 + LIVE + b"Connection: close\r\n\r\n")
        assert read_all(caller).count(b'{"status":"alive"}') == 21


@pytest.mark.parametrize("filler", ["header", "headers", "address", "name"])
def test_a_long_head_is_refused(server: str, filler: str) -> None:
    more = MAX_HEAD_BYTES + 10
    heads = {
        "header": LIVE + b"X-Long: " + b"x" * more,
        "headers": LIVE + b"X-Many: x\r\n" * (more // 11 + 1),
        "address": b"GET /health/live?" + b"x" * more + b" HTTP/1.1\r\nHost: edge",
        "name": LIVE + b"x" * more + b": x",
    }
    for end in (b"\r\n\r\n", b"", b"x" * 3_000_000):
        with connect(server) as caller:
            try:
                caller.sendall(heads[filler] + end)
            except OSError:
                continue  # the last one may find the connection closed
            answer = caller.recv(65536)
            assert status(answer) in (400, 431)
            assert end or b'"request_header_fields_too_large"' in answer
    assert httpx.get(f"{server}/health/live?{'x' * (MAX_HEAD_BYTES - 1000)}").status_code == 200


AMBIGUOUS = {
    "two lengths": b"Content-Length: 13\r\nContent-Length: 14\r\n\r\n",
    "the same length twice": b"Content-Length: 13\r\nContent-Length: 13\r\n\r\n",
    "two lengths in one": b"Content-Length: 13, 14\r\n\r\n",
    "a length and chunks": b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length with a sign": b"Content-Length: +13\r\n\r\n",
    "a length in hexadecimal": b"Content-Length: 0x10\r\n\r\n",
    "a length beyond 64 bits": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a space before the colon": b"Content-Length : 13\r\n\r\n",
    "a folded header": b"X-One: a\r\n b\r\nContent-Length: 13\r\n\r\n",
    "a zero byte": b"X-One: a\0b\r\nContent-Length: 13\r\n\r\n",
    "a bare carriage return": b"X-One: a\rContent-Length: 13\r\n\r\n",
    "a wrong chunk": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk with no end": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n",
}


def answers_to(server: str, sent: Iterable[bytes]) -> list[bytes]:
    """Each on a connection of its own, all at once: after a refusal the server lingers."""
    with ExitStack() as stack:
        callers = []
        for each in sent:
            callers.append(stack.enter_context(connect(server)))
            callers[-1].sendall(each)
        return [read_all(caller) for caller in callers]


def test_a_head_that_may_be_read_in_two_ways_is_refused(server: str) -> None:
    head = b"POST /api/v1/voice/translate HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\n"
    sent = [head + rest + b'{"audio":"A"}' + LIVE + b"\r\n" for rest in AMBIGUOUS.values()]
    for name, answer in zip(AMBIGUOUS, answers_to(server, sent), strict=True):
        assert 400 <= status(answer) < 500, name
        assert answer.count(b"HTTP/1.1 ") == 1, f"what followed was taken for a request: {name}"


def test_what_is_no_request(server: str) -> None:
    lines = [
        b"GET / HTTP/9.9",
        b"BREW / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/1.1",
        b"GET http://[ HTTP/1.1",
    ]
    for line, answer in zip(
        lines, answers_to(server, [line + b"\r\nHost: edge\r\n\r\n" for line in lines]), strict=True
    ):
        assert 400 <= status(answer) < 500, line
        assert b"application/problem+json" in answer, line


def test_more_connections_than_allowed() -> None:
    with limited(ConnectionLimits(most=5)) as url, ExitStack() as open_ones:
        first = [open_ones.enter_context(connect(url)) for _ in range(5)]
        for each in first:
            each.sendall(LIVE + b"\r\n")
            assert status(each.recv(65536)) == 200
        with connect(url) as late:
            answer = read_all(late)
            assert status(answer) == 503
            assert b'"overloaded"' in answer
            assert b"retry-after: 5" in answer.lower()
        first[0].close()
        until_served(url)


def test_connections_of_one_address() -> None:
    limits = ConnectionLimits(most_per_address=2, proxies=("127.0.0.3/32",))
    with limited(limits) as url, ExitStack() as open_ones:
        for source, served in (("127.0.0.2", 2), ("127.0.0.4", 2), ("127.0.0.3", 6)):
            answers = []
            for _ in range(6):
                each = open_ones.enter_context(connect(url, source))
                with suppress(OSError):
                    each.sendall(LIVE + b"\r\n")
                answers.append(status(each.recv(65536)))
            assert answers == [200] * served + [503] * (6 - served)


def until_served(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        with connect(url) as caller:
            caller.sendall(LIVE + b"\r\n")
            if status(caller.recv(65536)) == 200:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_who_does_not_read_an_answer_is_cut_off() -> None:
    protocol = guarded(QUICK)
    with serving(app(), http=protocol) as url, connect(url) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        deaf.sendall(b"GET /big HTTP/1.1\r\nHost: edge\r\n\r\n")
        assert deaf.recv(1)
        deadline = time.monotonic() + 60
        while protocol.guard._open:  # type: ignore[attr-defined]
            assert time.monotonic() < deadline, "it was not cut off"
            time.sleep(0.02)
        assert len(read_all(deaf)) < BIG / 2


def test_who_reads_slowly_but_steadily_is_served(server: str) -> None:
    with connect(server) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.sendall(b"GET /big HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
        received, began = 0, time.monotonic()
        while time.monotonic() - began < 2.6:  # twice as long as a pause may be
            received += len(slow.recv(65536))
            time.sleep(0.1)
        assert received < BIG / 2
        received += len(read_all(slow))
    assert received > BIG
