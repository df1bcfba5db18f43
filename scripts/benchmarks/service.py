"""Suite `service`: what everything but the engines costs.

The real application on a real server in a process of its own (`service_app.py`): HTTP, base64, decoder processes, voice
activity detection, SQLite, storage. Only the engines are stand-ins that answer at once, through the ports.
The callers run on the same cores.
"""

import argparse
import asyncio
import base64
import io
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile as sf

from scripts.parts import people
from scripts.parts.demo import free_port

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_SECONDS = 10.0
PROBE_INTERVAL_SECONDS = 0.02
START_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--callers", type=int, default=16, help="callers at the same time (suite service)")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each of the two loads (suite service)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Two loads. paced: each caller sends one request per second; closed: each sends the next one at once."""
    callers, seconds = arguments.callers, arguments.seconds
    message = Message()
    with running_server() as url:
        asyncio.run(load(url, message, callers, 3.0, 0.0))  # first calls pay for imports and caches
        loads = {
            name: measure(url, message, callers, seconds, interval)
            for name, interval in (("paced", 1.0), ("closed", 0.0))
        }
    result = {"callers": callers, "message_seconds": MESSAGE_SECONDS, "cores": os.cpu_count(), **loads}
    print_tables(result)
    return result


# --- the message


class Message:
    """A WAV of MESSAGE_SECONDS: a person's prompts. No two requests are alike, so no cache answers."""

    def __init__(self) -> None:
        samples = np.concatenate([clip.samples for clip in people.clips("en")[:10]])
        self._rate = people.RATE
        self._samples = (np.resize(samples, int(MESSAGE_SECONDS * self._rate)) * 32_767).astype(np.int16)
        self._numbers = itertools.count(1)

    def body(self) -> bytes:
        """A request. Its number is written in the lowest bits of 32 samples, where nobody hears it."""
        number = next(self._numbers)
        bits = np.array([number >> bit & 1 for bit in range(32)], dtype=np.int16)
        middle = slice(len(self._samples) // 2, len(self._samples) // 2 + 32)
        samples = self._samples.copy()
        samples[middle] = samples[middle] & ~1 | bits
        wav = io.BytesIO()
        sf.write(wav, samples, self._rate, format="WAV")
        head = b'{"audio_format": "wav", "target_language": "es", "audio": "'
        return head + base64.b64encode(wav.getvalue()) + b'"}'


# --- the server


@contextmanager
def running_server() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voice-benchmark-", ignore_cleanup_errors=True) as folder:
        arguments = ["scripts.benchmarks.service_app", str(port), folder]
        with running(arguments, port, {"PYTHONPATH": str(ROOT)}, START_SECONDS) as (url, _):
            yield url


@contextmanager
def running(
    module: list[str], port: int, environment: dict[str, str], seconds: float
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server in a process of its own, which is ready within so many seconds."""
    process = subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=os.environ | environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, seconds)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", timeout=2.0, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server was not ready within {seconds:.0f} s, or ended: its messages are above")


# --- the callers


@dataclass(slots=True)
class Observed:
    """Milliseconds, by stage, of the requests that succeeded, and the outcomes of all."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, value: float) -> None:
        self.milliseconds.setdefault(name, []).append(value)


def measure(url: str, message: Message, callers: int, seconds: float, interval: float) -> dict[str, Any]:
    """Load the server, while a process of its own asks `/health/live`; its waits are not those of the callers' loop."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        probing = pool.submit(probe, url, seconds)
        began = time.perf_counter()
        observed = asyncio.run(load(url, message, callers, seconds, interval))
        took = time.perf_counter() - began
        observed.milliseconds["/health/live"] = probing.result(seconds + 30)
    completed = observed.outcomes["completed"]
    return {
        "requests_per_second": round(completed / took, 1),
        "outcomes": dict(observed.outcomes),
        "milliseconds": {name: percentiles(values) for name, values in observed.milliseconds.items()},
    }


def percentiles(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


def probe(url: str, seconds: float) -> list[float]:
    waits = []
    with httpx.Client(base_url=url, trust_env=False, timeout=30.0) as client:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            client.get("/health/live").raise_for_status()
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(PROBE_INTERVAL_SECONDS)
    return waits


async def load(url: str, message: Message, callers: int, seconds: float, interval: float) -> Observed:
    """`interval` seconds from one request of a caller to its next; the callers' first ones are spread over it."""
    observed = Observed()
    limits = httpx.Limits(max_connections=callers)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120.0, trust_env=False) as client:
        start = time.perf_counter()
        offsets = (interval * number / callers for number in range(callers))
        await asyncio.gather(
            *(
                call_repeatedly(client, message, observed, start + offset, start + seconds, interval)
                for offset in offsets
            )
        )
    return observed


async def call_repeatedly(
    client: httpx.AsyncClient, message: Message, observed: Observed, first: float, end: float, interval: float
) -> None:
    due = first
    while due < end and time.perf_counter() < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await call(client, message.body(), observed)
        due = max(due + interval, time.perf_counter()) if interval else time.perf_counter()


async def call(client: httpx.AsyncClient, body: bytes, observed: Observed) -> None:
    began = time.perf_counter()
    response = await client.post("/api/v1/voice/translate", content=body, headers={"Content-Type": "application/json"})
    elapsed = (time.perf_counter() - began) * 1000
    answer = json.loads(response.content)
    outcome = answer.get("status") if response.status_code == 200 else answer.get("code", str(response.status_code))
    observed.outcomes[outcome] += 1
    if outcome != "completed":
        return
    for name, value in answer["timestamps"].items():
        observed.add(name.removesuffix("_ms"), value)
    observed.add("all stages", answer["processing_time_ms"])
    observed.add("whole request", elapsed)


# --- the tables


def print_tables(result: dict[str, Any]) -> None:
    print(
        f"{result['callers']} callers, {result['message_seconds']:.0f} s WAV, instant engines, {result['cores']} cores"
    )
    for name, what in (
        ("paced", "each caller sends one request per second"),
        ("closed", "each caller sends the next at once"),
    ):
        measured = result[name]
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in measured["outcomes"].items())
        print(f"\n{name}: {what}; {measured['requests_per_second']} requests/s; {outcomes}")
        print(f"  {'milliseconds':<18}{'p50':>9}{'p99':>9}")
        for stage, values in measured["milliseconds"].items():
            print(f"  {stage:<18}{values['p50']:>9.1f}{values['p99']:>9.1f}")
