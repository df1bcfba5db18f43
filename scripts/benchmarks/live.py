"""Suite `live`: how soon a message is heard in the other language.

The real service, as the settings name its engines, in processes of its own. Messages of a person's prompts are sent
over HTTP and followed as events: when the first text and the first sound come, and when all is done. Beside it stands
the same work one step after the other: the whole message heard by `transcribe`, then its whole translation spoken by
`clone`, in the same run; `slowest` is the longer of the two.
"""

import argparse
import base64
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from scripts.benchmarks.service import ROOT, wait_until_ready
from scripts.parts import people
from scripts.parts.demo import free_port
from src.domain.audio import Audio, Samples
from src.utils.audio import encode_wav

_EVENTS = {"Accept": "text/event-stream"}
_PAUSE_SECONDS = 0.5
_START_SECONDS = 300.0
"""With networks to load; the first time XTTS's are converted."""
_PATIENCE = httpx.Timeout(1200.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lengths", type=float, nargs="+", default=[5, 15, 60, 300], help="seconds (suite live)")
    parser.add_argument("--source", default="en", choices=people.LANGUAGES, help="what is spoken (suite live)")
    parser.add_argument("--target", default="es", help="into what (suite live)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds from the request, and shares of the serial work."""
    source, target = arguments.source, arguments.target
    rows = []
    with _service() as (url, process), httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False) as client:
        _streamed(client, _message(source, 6.0, 0), source, target)  # first calls pay for imports
        print("seconds  first text  first sound  all  heard  spoken  first sound/serial  all/slowest  MiB")
        for number, seconds in enumerate(arguments.lengths, 1):
            message = _message(source, seconds, number)
            streamed = _streamed(client, message, source, target)
            heard = _job(client, "transcribe", {"audio": message, "source_language": source})
            text = {"text": streamed["translated_text"], "target_language": target, "reference_audio": message}
            spoken = _job(client, "clone", text)
            row = {
                "seconds": seconds,
                **{name: streamed[name] for name in ("first_text", "first_sound", "all")},
                "heard": heard,
                "spoken": spoken,
                "first_sound_of_serial": streamed["first_sound"] / (heard + spoken),
                "all_of_slowest": streamed["all"] / max(heard, spoken),
                "memory_mib": _memory(process.pid),
            }
            rows.append(row)
            print("  ".join(f"{value:.2f}" for value in row.values()))
    return {"source": source, "target": target, "messages": rows}


def _message(language: str, seconds: float, number: int) -> str:
    """Prompts with pauses, as base64; each number begins with another one, so that no cache answers."""
    clips = itertools.islice(itertools.cycle(people.clips(language)), 7 * number, None)
    pause = np.zeros(round(_PAUSE_SECONDS * people.RATE), np.float32)
    parts, length = list[Samples](), 0.0
    while length < seconds:
        clip = next(clips)
        parts += [clip.samples, pause]
        length += clip.seconds + _PAUSE_SECONDS
    samples = np.concatenate(parts)[: round(seconds * people.RATE)]
    return base64.b64encode(encode_wav(Audio(samples, people.RATE))).decode()


def _streamed(client: httpx.Client, message: str, source: str, target: str) -> dict[str, Any]:
    body = {"audio": message, "source_language": source, "target_language": target}
    times: dict[str, float] = {}
    began = time.perf_counter()
    with client.stream("POST", "/api/v1/voice/translate", json=body, headers=_EVENTS) as answer:
        for kind, told in _events(answer):
            times.setdefault(kind, time.perf_counter() - began)
            members = told
    return {
        "first_text": times["transcript"],
        "first_sound": times["audio"],
        "all": times["done"],
        "translated_text": members["translated_text"],
    }


def _job(client: httpx.Client, operation: str, body: dict[str, Any]) -> float:
    began = time.perf_counter()
    begun = client.post(f"/api/v1/voice/{operation}", json=body, headers={"Prefer": "respond-async"})
    begun.raise_for_status()
    with client.stream("GET", f"{begun.headers['location']}/events") as answer:
        for _ in _events(answer):
            pass
    return time.perf_counter() - began


def _events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and members. Raises RuntimeError for a job that fails."""
    answer.raise_for_status()
    kind = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            members = json.loads(value)
            if kind == "error":
                raise RuntimeError(members["detail"])
            yield kind, members


@contextmanager
def _service() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voice-benchmark-", ignore_cleanup_errors=True) as folder:
        own = {"PORT": str(port), "DATA_DIR": folder, "LOG_LEVEL": "warning"}
        process = subprocess.Popen([sys.executable, "-m", "src.main"], cwd=ROOT, env=os.environ | own)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, _START_SECONDS)
            yield url, process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _memory(pid: int) -> float:
    """MiB that the process and its children have to themselves or share, each page counted once."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return own + sum(_memory(int(child)) for child in children)
