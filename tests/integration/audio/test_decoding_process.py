"""The decoder as it runs: in limited child processes, given everything that could hurt it."""

import asyncio
import functools
import math
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from src.adapters.decoding import sandbox
from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.domain.audio import AudioFormat
from src.domain.errors import AudioTooLong, DeadlineExceeded, EngineUnavailable, InvalidRequest, Overloaded
from src.models.silero_vad import SileroVad
from src.services.audio_processing import AudioProcessing
from src.workers.engines import RemoteDecoder, assemble
from src.workers.process_pool import ProcessPool
from tests.attacks.attacks import attacks
from tests.fakes.process_children import children
from tests.recordings import audio_files as files

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="limits that only Linux has")

WAV = AudioFormat.WAV


class Probe:
    """Looks about in a limited process."""

    def allocate(self, megabytes: int) -> int:
        return len(bytearray(megabytes * 2**20))

    def write(self, path: str) -> str:
        with Path(path).open("wb") as file:
            file.write(b"x")
        return "written"

    def open_many(self) -> int:
        opened = []
        try:
            for _ in range(1000):
                opened.append(Path("/dev/null").open("rb"))  # noqa: SIM115, PERF401 - the point is to run out of them
        except OSError:
            return len(opened)
        return 1000

    def connect(self, port: int) -> str:
        with socket.socket() as client:
            return os.strerror(client.connect_ex(("127.0.0.1", port)))

    def burn(self) -> None:
        while True:
            """Until the kernel ends it."""

    def cpu_limit(self) -> int:
        return resource.getrlimit(resource.RLIMIT_CPU)[0]


def make_pool(timeout: float = 20.0, max_seconds: float = 300.0) -> ProcessPool:
    return ProcessPool(
        functools.partial(assemble, AudioProcessing, functools.partial(PyAvDecoder, 1.0, max_seconds), SileroVad),
        size=1,
        queue_size=8,
        call_timeout_seconds=timeout,
        name="decoder",
        init=sandbox.apply_limits,
        before_call=sandbox.renew_cpu_limit,
        environment={},
    )


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = make_pool()
    await pool.start()
    yield pool
    await pool.close()


async def probing(init: object = sandbox.apply_limits) -> ProcessPool:
    before_call = sandbox.renew_cpu_limit if init is sandbox.apply_limits else None
    pool = ProcessPool(Probe, 1, 1, 20.0, "probe", init=init, before_call=before_call)  # type: ignore[arg-type]
    await pool.start()
    return pool


def memory_mib(pid: int, field: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


OTHERS: set[int] = set()


@pytest.fixture(scope="module", autouse=True)
def _other_children() -> None:
    """Servers that other test modules keep for the whole run are no children of the pool."""
    OTHERS.update(children())


def the_child() -> int:
    """Process id of this process's only other child; 0 while there is none."""
    found = children() - OTHERS
    return found.pop() if len(found) == 1 else 0


@LINUX_ONLY
async def test_every_attack_is_refused_by_one_process_that_stays_small_and_works(pool: ProcessPool) -> None:
    decoder, connections = RemoteDecoder(pool), []
    server = await asyncio.start_server(lambda *pair: connections.append(pair), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    message, child = files.voice_message(), the_child()
    async with server:
        for name, data, declared in attacks(f"{host}:{port}"):
            with pytest.raises(InvalidRequest):
                await decoder.decode(data, declared)
            assert (await decoder.decode(message, WAV)).audio.duration_seconds > 4, name
    assert connections == []
    assert the_child() == child
    assert memory_mib(child, "VmPeak") <= 1024


async def test_a_bomb_is_given_up_at_three_hundred_seconds(pool: ProcessPool) -> None:
    with pytest.raises(AudioTooLong):
        await RemoteDecoder(pool).decode(files.flac_bomb(), AudioFormat.FLAC)


@LINUX_ONLY
async def test_the_longest_and_largest_file_fits_into_the_memory_limit(pool: ProcessPool) -> None:
    data = files.encode(files.seconds_of_speech(259, 48_000), 48_000, channels=2)
    assert 49_000_000 < len(data) < 50_000_000
    speech = await RemoteDecoder(pool).decode(data, WAV)
    assert speech.audio.duration_seconds > 250
    assert memory_mib(the_child(), "VmPeak") < 900


@LINUX_ONLY
async def test_a_file_that_takes_too_long_costs_its_process_and_no_other_call() -> None:
    pool = make_pool(timeout=0.5, max_seconds=1e9)
    await pool.start()
    try:
        child = the_child()
        with pytest.raises(DeadlineExceeded):
            await RemoteDecoder(pool).decode(files.flac_bomb(240), AudioFormat.FLAC)
        with suppress(Overloaded, DeadlineExceeded):  # waits no longer than the deadline for the replacement
            await RemoteDecoder(pool).decode(files.voice_message(), WAV)
        async with asyncio.timeout(60):
            while the_child() in (0, child):
                await asyncio.sleep(0.05)
        assert pool.alive
    finally:
        await pool.close()


@LINUX_ONLY
async def test_limits_on_memory_files_and_network(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    pool = await probing()
    try:
        assert await pool.run("allocate", 100) == 100 * 2**20
        assert await pool.run("open_many") < sandbox.OPEN_FILES
        assert await pool.run("connect", server.sockets[0].getsockname()[1]) != os.strerror(0)
        with pytest.raises(Exception, match="failed"):
            await pool.run("write", str(tmp_path / "file"))
        assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 0
        with pytest.raises(EngineUnavailable):
            await pool.run("allocate", 1100)
    finally:
        await pool.close()
        server.close()


def one_more_second_of_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + 1, resource.RLIM_INFINITY))


@LINUX_ONLY
async def test_the_processor_limit_kills_and_is_renewed_for_each_call() -> None:
    pool = await probing(one_more_second_of_cpu)
    try:
        with pytest.raises(EngineUnavailable):
            await asyncio.wait_for(pool.run("burn"), 60)
    finally:
        await pool.close()
    pool = await probing()
    try:
        limit = await pool.run("cpu_limit")
        assert sandbox.CPU_SECONDS_PER_CALL <= limit <= sandbox.CPU_SECONDS_PER_CALL + 5
    finally:
        await pool.close()
