"""The bad network of the tests is as bad as it says: otherwise the tests behind it prove nothing."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers.proxy import NO_FAULT, Fault, FaultyProxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that answers every connection with what it gets."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture
def proxy(echo_port: int) -> Iterator[FaultyProxy]:
    with FaultyProxy(echo_port) as proxy:
        yield proxy


def _connect(proxy: FaultyProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def _exchange(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    answer = b""
    while len(answer) < len(data):
        part = connection.recv(65_536)
        if not part:
            break
        answer += part
    return answer


def test_without_a_fault_all_bytes_pass(proxy: FaultyProxy) -> None:
    with _connect(proxy) as connection:
        assert _exchange(connection, b"x" * 1_000_000) == b"x" * 1_000_000
    assert proxy.accepted == 1


def test_latency_delays_each_answer(proxy: FaultyProxy) -> None:
    proxy.fault = Fault(latency=0.2)
    with _connect(proxy) as connection:
        began = time.monotonic()
        assert _exchange(connection, b"late") == b"late"
        assert time.monotonic() - began >= 0.2


def test_a_drip_passes_one_byte_at_a_time_and_may_end(proxy: FaultyProxy) -> None:
    proxy.fault = Fault(drip=0.02)
    with _connect(proxy) as connection:
        connection.sendall(b"slowly, but all of it" * 1000)
        assert connection.recv(100) == b"s"
        proxy.fault = NO_FAULT
        rest = 21_000 - 1
        while rest:
            rest -= len(connection.recv(65_536))


def test_a_reset_cuts_where_it_says_and_as_often(proxy: FaultyProxy) -> None:
    proxy.fault = Fault(reset_after=10, resets=1)
    with _connect(proxy) as connection:
        connection.sendall(b"0123456789abcdef")
        assert connection.recv(100, socket.MSG_WAITALL) == b"0123456789"
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with _connect(proxy) as connection:
        assert _exchange(connection, b"again, and more than ten") == b"again, and more than ten"


def test_a_silent_server_takes_and_says_nothing_until_it_heals(proxy: FaultyProxy) -> None:
    proxy.fault = Fault(blackhole=True)
    with _connect(proxy) as connection:
        connection.sendall(b"anyone?")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        proxy.fault = NO_FAULT
        connection.settimeout(5)
        assert connection.recv(100) == b"anyone?"


def test_a_server_that_is_down_and_a_cut_of_open_connections(proxy: FaultyProxy) -> None:
    with _connect(proxy) as connection:
        assert _exchange(connection, b"open") == b"open"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    proxy.fault = Fault(reset_after=0)
    with pytest.raises(ConnectionResetError), _connect(proxy) as connection:
        connection.recv(1)
