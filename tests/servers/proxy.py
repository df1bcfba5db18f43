"""A TCP proxy that makes a network bad while a test looks on: slow, cut, silent, or a byte at a time."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_START_SECONDS = 10.0
_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class Fault:
    """What happens to bytes on their way from the server to the client. The default: nothing.

    `latency`: seconds that each chunk is late. `drip`: seconds between single bytes. `reset_after`: the connection is
    reset once that many bytes have passed since the fault began; 0: as soon as a client connects. `resets`: how often,
    None: each time. `blackhole`: connections open, and no byte passes in either direction until another fault is set.
    """

    latency: float = 0.0
    drip: float = 0.0
    reset_after: int | None = None
    resets: int | None = None
    blackhole: bool = False


NO_FAULT = Fault()


class FaultyProxy:
    """Listens on a free port of 127.0.0.1, in a thread of its own, and forwards to `host:port`.

    `fault` may be set at any time from any thread and holds for open connections, too.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._fault = NO_FAULT
        self._passed = self._resets = 0
        self.accepted = 0  # connections
        self.port = 0

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._passed = self._resets = 0
        self._fault = fault

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(self._cancel_all)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError("the proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._cancel_all()
            self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _cancel_all(self) -> None:
        for task in self._connections:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            if self._fault.reset_after == 0 and self._may_reset():
                return
            answers, upstream = await asyncio.open_connection(*self._target)
            await _first_to_end(self._forward(reader, upstream), self._return(answers, writer))
        except OSError:
            pass  # one side has gone: so does the other
        finally:
            for end in (writer, upstream):
                if end is not None:
                    _reset(end)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._while_silent()
            writer.write(data)
            await writer.drain()

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._while_silent()
            await asyncio.sleep(self._fault.latency)
            fault = self._fault
            if fault.reset_after is not None and self._passed + len(data) >= fault.reset_after and self._may_reset():
                writer.write(data[: max(0, fault.reset_after - self._passed)])
                await writer.drain()
                self._passed = 0
                await asyncio.sleep(0.05)  # what was written goes out before the reset, which would overtake it
                return
            self._passed += len(data)
            await self._write(writer, data)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while self._fault.drip and data:
            writer.write(data[:1])
            data = data[1:]
            await writer.drain()
            await asyncio.sleep(self._fault.drip)
        writer.write(data)
        await writer.drain()

    async def _while_silent(self) -> None:
        while self._fault.blackhole:
            await asyncio.sleep(0.01)

    def _may_reset(self) -> bool:
        self._resets += 1
        return self._fault.resets is None or self._resets <= self._fault.resets


async def _first_to_end(*pumps: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, so that the peer sees a connection that broke."""
    plain: socket.socket | None = writer.get_extra_info("socket")
    if plain is not None and plain.fileno() >= 0:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
