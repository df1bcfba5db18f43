"""Files made to hurt, over HTTP to the real decoder, as a table: each is refused soon, the decoder stays small, and
nobody is called.
"""

import asyncio
import base64
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.attacks.attacks import attacks
from tests.attacks.process_watch import Watch
from tests.recordings import audio_files
from tests.servers.fuzzed_service import Fuzzed, fuzzed_service, token
from tests.support.reporting import say

pytestmark = pytest.mark.timeout(600)

DECODER_MEGABYTES = 1074
"""1 GiB."""


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
                if not 400 <= response.status_code < 500:
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


def test_too_large_audio_is_refused_without_reading_it(service: Fuzzed, capsys: pytest.CaptureFixture[str]) -> None:
    """Base64 has a slash in 64 characters, which Swift's encoder escapes: bodies may be as long as 50 MB of that take.
    51 MB without escapes fit in there, too, and are refused when their base64 is looked at, before any decoding.
    """
    of_51, of_60 = 51_000_000 * 4 // 3, 60_000_000 * 4 // 3
    tried = [
        ("51 MB as Swift writes it, length announced", of_51 * 65 // 64, True),
        ("51 MB, length announced", of_51, True),
        ("60 MB, length announced", of_60, True),
        ("60 MB in chunks", of_60, False),
    ]
    found = [(name, length, *_send(service, length, announce=announce)) for name, length, announce in tried]
    rows = [f"  {name:<44} {answer[9:12].decode()} after {n:>8} of {of} bytes" for name, of, answer, n in found]
    say(capsys, "too large:\n" + "\n".join(rows))
    assert [answer[:12] for *_, answer, _ in found] == [b"HTTP/1.1 413"] * 4
    (as_swift, _, announced, in_chunks) = (sent for *_, sent in found)
    assert (as_swift, announced) == (0, 0)
    assert in_chunks < of_60


def _send(service: Fuzzed, length: int, *, announce: bool) -> tuple[bytes, int]:
    """The beginning of the answer, and how many bytes of the body were sent until it came."""
    url = httpx.URL(service.url)
    head = (
        f"POST /api/v1/voice/transcribe HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {token()}\r\n"
        f"Content-Type: application/json\r\n"
        f"{f'Content-Length: {length}' if announce else 'Transfer-Encoding: chunked'}\r\n\r\n"
    )
    body = memoryview(b'{"audio": "' + b"A" * (length - 13) + b'"}')
    sent = 0
    with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
        connection.sendall(head.encode())
        while sent < length and not select.select([connection], [], [], 0 if sent else 1)[0]:
            piece = body[sent : sent + 65_536]
            connection.sendall(piece if announce else b"%x\r\n%s\r\n" % (len(piece), piece))
            sent += len(piece)
        if sent == length and not announce:
            connection.sendall(b"0\r\n\r\n")
        return connection.recv(1000), sent
