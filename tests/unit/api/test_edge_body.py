"""Bodies over real sockets: too large, too slow, of the wrong type, too many at once."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from src.api.middleware import Edge
from src.api.middleware.body_limit import MAX_JSON_VALUES
from src.api.middleware.errors import Linger
from tests.conftest import serving
from tests.support.edge_app import edge_app
from tests.support.options import applied
from tests.unit.api.test_edge_auth import token, verifier

PATH = "/api/v1/voice/translate"
MB = 1_000_000


@pytest.fixture
def short_linger() -> Iterator[None]:
    """For callers that send no more when they are refused."""
    with applied({"src.api.middleware.errors._IDLE_SECONDS": 0.3}):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    edge = Edge(max_body_bytes=2 * MB, body_timeout_seconds=1.5)
    with serving(edge_app(edge)) as url:
        yield url


def connect(server: str) -> socket.socket:
    address = urlsplit(server)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=60)


def head(*headers: str) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: edge", "Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.usefixtures("short_linger")
def test_a_large_body_is_refused_before_it_is_sent(server: str) -> None:
    with connect(server) as connection:
        connection.sendall(head("Content-Length: 68000000"))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert b'"code": "audio_too_large"' in answer


def test_the_connection_lingers_for_a_caller_that_is_still_sending_but_not_for_long(server: str) -> None:
    with connect(server) as connection:
        connection.sendall(head("Content-Length: 68000000"))
        connection.recv(65536)
        for _ in range(5):
            connection.sendall(b"x" * 1000)
            time.sleep(0.1)
        read_all(connection)  # to the end: the server closes


@pytest.mark.usefixtures("short_linger")
def test_a_caller_that_waits_for_100_continue_is_not_asked_for_the_body(server: str) -> None:
    with connect(server) as connection:
        connection.sendall(head("Content-Length: 68000000", "Expect: 100-continue"))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_caller_that_waits_for_100_continue_sends_the_body_only_where_it_is_wanted() -> None:
    body = b'{"audio":"%s"}' % (b"A" * MB)
    with serving(edge_app(Edge(max_body_bytes=2 * MB, verifier=verifier()))) as url:
        for given, status in (("x", 401), (token(), 200)):
            expecting = (f"Content-Length: {len(body)}", "Expect: 100-continue", f"Authorization: Bearer {given}")
            with connect(url) as connection:
                connection.sendall(head(*expecting, "Connection: close"))
                answer = connection.recv(65536)
                if answer.startswith(b"HTTP/1.1 100 "):
                    connection.sendall(body)
                    answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_caller_that_sends_it_all_the_same_reads_the_answer(server: str) -> None:
    response = httpx.post(server + PATH, content=b"x" * 40 * MB, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "audio_too_large")


def test_a_large_body_without_a_length_is_refused_while_it_streams(server: str) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += 100_000
            yield b"x" * 100_000

    response = httpx.post(server + PATH, content=chunks(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "audio_too_large")
    assert sent < 20 * MB  # the rest of the 40 MB found a closed connection; socket buffers took what lies above 4 MB


REFUSALS: dict[str, tuple[int, str, bytes]] = {
    "without a token": (401, "unauthenticated", head("Authorization: Bearer x")),
    "for another user": (403, "forbidden", head("X-On-Behalf-Of: bob")),
    "too long": (413, "audio_too_large", head()),
    "of another type": (415, "unsupported_media_type", head().replace(b"application/json", b"audio/mp4")),
    "above the rate": (429, "rate_limited", head()),
    "streamed": (413, "audio_too_large", head("Transfer-Encoding: chunked")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_caller_that_sends_all_before_it_reads_is_told_why_it_was_refused(name: str) -> None:
    """As curl, OkHttp and most clients do: closed earlier, they would see a reset."""
    status, code, request = REFUSALS[name]
    most = 20 * MB if status == 413 else 60 * MB
    edge = Edge(max_body_bytes=most, verifier=verifier(), translations_per_minute=1)
    authorised = b"" if status == 401 else f"Authorization: Bearer {token()}\r\n".encode()
    streamed = b"chunked" in request
    size = 35 * MB if status == 413 else 50 * MB
    length = b"" if streamed else b"Content-Length: %d\r\n" % size
    request = request[:-2] + authorised + length + b"\r\n"
    with serving(edge_app(edge)) as url:
        if status == 429:
            used = {"Authorization": f"Bearer {token()}"}
            assert httpx.post(url + PATH, json={"audio": "A"}, headers=used).status_code == 200
        with connect(url) as connection:
            connection.sendall(request)
            for _ in range(size // MB):
                connection.sendall(b"%x\r\n" % MB + b"x" * MB + b"\r\n" if streamed else b"x" * MB)
            answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b'"code": "%s"' % code.encode() in answer
    assert b"connection: close" in answer.lower()


def test_a_refused_caller_that_stops_sending_or_sends_slowly_is_not_waited_for() -> None:
    now = 100.0
    linger = Linger(60, lambda: now)
    assert linger.ends_at == 102
    linger.receive(50 * MB)
    assert linger.ends_at == 102  # nothing more came
    now = 130.0
    linger.receive(1)
    assert linger.ends_at == 132
    now = 200.0
    linger.receive(1)
    assert linger.ends_at == 160
    slow = Linger(60, lambda: now)
    now = 210.0
    slow.receive(64 * 1024)
    assert slow.ends_at == 203


def test_a_body_of_just_the_limit_passes(server: str) -> None:
    frame = len(b'{"audio":""}')
    body = b'{"audio":"' + b"A" * (2 * MB - frame) + b'"}'
    json_type = {"content-type": "application/json; charset=utf-8"}
    response = httpx.post(server + PATH, content=body, headers=json_type)
    assert response.json() == {"characters": 2 * MB - frame}
    assert httpx.post(server + PATH, content=body + b" ", headers=json_type).status_code == 413


def test_a_slow_body_times_out_in_all_however_steadily_it_drips(server: str) -> None:
    with connect(server) as connection:
        connection.sendall(head("Content-Length: 1000"))
        drip = threading.Thread(target=_drip, args=(connection,))
        drip.start()
        answer = read_all(connection)
        drip.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "request_timeout"' in answer


def _drip(connection: socket.socket) -> None:
    for _ in range(2000):  # longer than a test may take
        try:
            connection.sendall(b"x")
        except OSError:
            return
        time.sleep(0.1)


def test_bodies_held_at_one_time_are_bounded_and_given_back() -> None:
    edge = Edge(max_body_bytes=2 * MB, max_held_bytes=5 * MB)
    body = b'{"audio":"' + b"A" * (2 * MB - 100) + b'"}'
    with serving(edge_app(edge)) as url, connect(url) as one, connect(url) as other:
        for connection in (one, other):
            connection.sendall(head(f"Content-Length: {2 * MB}") + body[:-1000])
        refused = _post_until(503, url, body)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("overloaded", "5")
        one.close()
        other.close()
        _post_until(200, url, body)
        json_type = {"content-type": "application/json"}
        again = [httpx.post(url + PATH, content=body, headers=json_type).status_code for _ in range(4)]
    assert again == [200] * 4


def _post_until(status: int, url: str, body: bytes) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        response = httpx.post(url + PATH, content=body, headers={"content-type": "application/json"})
        if response.status_code == status:
            return response
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
        {},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=str,
)
def test_a_body_that_is_not_declared_as_json(server: str, headers: dict[str, str]) -> None:
    response = httpx.post(server + PATH, content=b'{"audio":"A"}', headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    if "content-encoding" not in headers:
        assert "base64" in response.json()["detail"]


def test_audio_as_a_list_of_numbers_is_told_what_to_send_instead(server: str) -> None:
    response = httpx.post(server + PATH, json={"audio": list(range(256)) * 400})
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")
    assert "base64" in response.json()["detail"]


def test_other_json_types_and_no_body(server: str) -> None:
    json_type = {"content-type": "application/vnd.api+json"}
    assert httpx.post(server + PATH, content=b'{"audio":"A"}', headers=json_type).status_code == 200
    empty = httpx.post(server + PATH)
    assert (empty.status_code, empty.json()["code"]) == (422, "validation_error")


def test_a_body_made_to_be_slow_to_parse_is_refused(server: str) -> None:
    bomb = b"[" + b"[]," * MAX_JSON_VALUES + b"1]"
    response = httpx.post(server + PATH, content=bomb, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")
    assert "values" in response.json()["detail"]  # counted, not parsed


def test_a_connection_serves_again_after_a_refusal_that_read_its_body(server: str) -> None:
    with httpx.Client(base_url=server) as http:
        assert http.post(PATH, json={"audio": ""}).status_code == 422
        assert http.post(PATH, json={"audio": "A"}).status_code == 200


@pytest.mark.usefixtures("short_linger")
def test_nobody_without_a_token_fills_memory() -> None:
    with (
        serving(edge_app(Edge(max_body_bytes=2 * MB, verifier=verifier()))) as url,
        connect(url) as connection,
    ):
        connection.sendall(head(f"Content-Length: {2 * MB}"))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


def test_probes_answer_while_large_bodies_arrive() -> None:
    body = b'{"audio":"' + b"QUJD" * (16 * MB) + b'"}'
    json_type = {"content-type": "application/json"}
    answers = 0
    with (
        serving(edge_app(Edge(max_body_bytes=67 * MB))) as url,
        ThreadPoolExecutor(1) as callers,
        httpx.Client(base_url=url) as probe,
    ):
        upload = callers.submit(httpx.post, url + PATH, content=body, headers=json_type, timeout=60)
        while not upload.done():
            assert probe.get("/health/live").status_code == 200
            answers += 1
            time.sleep(0.005)
        assert upload.result().json() == {"characters": 64 * MB}
    assert answers > 3
