"""Files made to hurt, over HTTP to the real decoder, as a table: each is refused soon, the decoder stays small, and
nobody is called.
"""

import asyncio
import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import audio_files
from tests.attacks import attacks
from tests.process_watch import Watch
from tests.reporting import say
from tests.servers.fuzzed_service import Fuzzed, fuzzed_service, token

pytestmark = pytest.mark.timeout(600)

SECONDS = 2.0
DECODER_MEGABYTES = 1074
"""1 GiB."""
LARGE = 51_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Fuzzed]:
    with fuzzed_service(tmp_path) as running:
        yield running


async def test_every_hostile_file_is_refused(service: Fuzzed, capsys: pytest.CaptureFixture[str]) -> None:
    callers: list[object] = []
    server = await asyncio.start_server(lambda *pair: callers.append(pair), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    rows, wrong = [], []
    headers = {"Authorization": f"Bearer {token()}"}
    async with server, httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as http:
        with Watch(service.process.pid, service.url) as watch:
            for name, data, declared in attacks(f"{host}:{port}"):
                body = {"audio": base64.b64encode(data).decode() or "AA==", "audio_format": declared}
                begun = time.perf_counter()
                response = await http.post("/api/v1/voice/transcribe", json=body)
                took = time.perf_counter() - begun
                code = response.json().get("code", "")
                rows.append(f"  {name:<28} {len(data):>9} bytes  {response.status_code} {code:<26} {took:5.2f} s")
                if not 400 <= response.status_code < 500 or took > SECONDS:
                    wrong.append(rows[-1])
            whole = await http.post("/api/v1/voice/transcribe", json=_message())
    say(
        capsys,
        f"{len(rows)} hostile files: decoder {watch.child_peak:.0f} MB at most, {len(watch.children) - 2} replaced, "
        f"{len(callers)} connections to what they name; {watch}\n" + "\n".join(rows),
    )
    assert wrong == []
    assert whole.status_code == 200
    assert callers == []
    assert watch.child_peak <= DECODER_MEGABYTES


def _message() -> dict[str, str]:
    return {"audio": base64.b64encode(audio_files.voice_message()).decode()}


def test_51_megabytes_are_refused_without_reading_them(service: Fuzzed, capsys: pytest.CaptureFixture[str]) -> None:
    length = len(base64.b64encode(bytes(3))) * LARGE // 3
    announced, taken = _send(service, f"Content-Length: {length}")
    assert announced.startswith(b"HTTP/1.1 413 ")
    streamed, limit = _send(service, "Transfer-Encoding: chunked", piece=b"10000\r\n" + b"A" * 65_536 + b"\r\n")
    assert streamed.startswith(b"HTTP/1.1 413 ")
    say(
        capsys,
        f"51 MB of audio: 413 after {taken} bytes of a body whose length is announced, after {limit / 1e6:.0f} MB of "
        f"one that is not ({length / 1e6:.0f} MB)",
    )
    assert taken == 0
    assert limit < 2 * LARGE


def _send(service: Fuzzed, length: str, piece: bytes = b"") -> tuple[bytes, int]:
    """The beginning of the answer, and how many bytes of the body were sent until it came."""
    url = httpx.URL(service.url)
    head = (
        f"POST /api/v1/voice/transcribe HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {token()}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(head.encode())
        sent = 0
        connection.settimeout(0.001 if piece else 30)
        while True:
            try:
                return connection.recv(1000), sent
            except TimeoutError:
                assert piece, "no answer"
                assert sent < 4 * LARGE, "still reading"
                connection.settimeout(30)
                connection.sendall(piece)
                sent += len(piece)
                connection.settimeout(0.001)
