"""Clients that take their time: with the heads of requests, with bodies, with reading answers; what others see of it.

They run in the loop of the test, against a service in a process of its own.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PAUSE_SECONDS = 0.5
"""Between two bytes."""

_HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_BODY = (
    b"POST /api/v1/voice/translate HTTP/1.1\r\nHost: localhost\r\n"
    b'Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"audio":"'
)
_MANY_ANSWERS = b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4


@dataclass
class Crowd:
    """`sent_away`: by kind, how many connections the service has ended."""

    port: int
    sent_away: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _looked_at: float = 0.0
    _seen: set[int] = field(default_factory=set)

    def come(self, of_each_kind: int, within_seconds: float = 0.0) -> None:
        """Each opens a connection, and another one when it is sent away, until `leave`."""
        kinds: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("heads", lambda: self._drip(_HEAD)),
            ("bodies", lambda: self._drip(_BODY)),
            ("readers", self._read_slowly),
        ]
        for number, (kind, one) in enumerate(kinds * of_each_kind):
            wait = within_seconds * number / (3 * of_each_kind)
            self._tasks.append(asyncio.create_task(self._again_and_again(kind, one, wait)))

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again_and_again(self, kind: str, one: Callable[[], Awaitable[None]], wait: float) -> None:
        await asyncio.sleep(wait)
        while True:
            with suppress(OSError):
                await one()
            self.sent_away[kind] += 1

    async def _drip(self, start: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(start)
            while not reader.at_eof():
                writer.write(b"a")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE_SECONDS):
                        line = await reader.readline()
                        if line.startswith(b"HTTP/1.1 "):
                            self.statuses[int(line.split()[1])] += 1
                            await reader.read()
        finally:
            writer.close()

    async def _read_slowly(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            await loop.sock_sendall(connection, _MANY_ANSWERS)
            await asyncio.sleep(2 * PAUSE_SECONDS)
            own = connection.getsockname()[1]
            while own in self._established():
                await loop.sock_recv(connection, 1)
                await asyncio.sleep(PAUSE_SECONDS)

    def _established(self) -> set[int]:
        """As `established`, looked at now and then. What the service has closed may still be read for long."""
        if time.monotonic() - self._looked_at > PAUSE_SECONDS:
            self._looked_at, self._seen = time.monotonic(), established(self.port)
        return self._seen


def established(port: int) -> set[int]:
    """The peers' ports of the connections that a server of this machine has open."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if state == "01" and int(local.partition(":")[2], 16) == port:
            found.add(int(remote.partition(":")[2], 16))
    return found


def time_limits(seconds: float) -> dict[str, dict[str, float]]:
    """Options of a service whose patience is to be seen in a short time: for `tests.support.options`."""
    return {
        "src.bootstrap.process.ConnectionLimits": {"header_seconds": seconds, "send_seconds": seconds},
        "src.main.Edge": {"body_timeout_seconds": seconds},
    }


async def probe(port: int, seconds: float, every: float = 0.02) -> list[float]:
    """Seconds that GET /health/live took, each on a connection of its own, one after another."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        took.append(time.perf_counter() - began)
        writer.close()
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(answer[:200])
        await asyncio.sleep(every)
    return took


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
