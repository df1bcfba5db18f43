"""Suite `live`: how soon a message is heard in the other language.

The real service, as the settings name its engines, in processes of its own. Messages of a person's prompts are sent
over HTTP and followed as events: when the first text and the first sound come, and when all is done. Beside it stands
the same work one step after the other: the whole message heard by `transcribe`, then its whole translation spoken by
`clone`, in the same run; `slowest` is the longer of the two.

Then a message is spoken into the WebSocket at the pace of its speech. Of each sentence: from its end in the sound to
the first sound of its translation, and to the last; of the first and the last third, so that a lag that grows shows;
the share of words that is heard wrong, beside that of the whole file; and the memory at the first sound and at the
end. Text is never taken back: the protocol has no event for that.
"""

import argparse
import base64
import itertools
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import ClientConnection, connect

from scripts.benchmarks.service import running
from scripts.parts import people
from scripts.parts.demo import free_port
from src.cli.calls import events
from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio, Samples
from src.utils.audio import encode_pcm, encode_wav, resample
from src.utils.words import word_error_rate

_EVENTS = {"Accept": "text/event-stream"}
_PAUSE_SECONDS, _BETWEEN_SENTENCES = 0.5, 1.0
_START_SECONDS = 300.0
"""With networks to load; the first time XTTS's are converted."""
_PATIENCE = httpx.Timeout(1200.0)
_LONGEST_SECONDS = "600"
"""Of a message: what is spoken ends with a whole prompt, so a little later than was asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lengths", type=float, nargs="+", default=[5, 15, 60, 300], help="seconds (suite live)")
    parser.add_argument("--source", default="en", choices=people.LANGUAGES, help="what is spoken (suite live)")
    parser.add_argument("--target", default="es", help="into what (suite live)")
    parser.add_argument("--spoken-seconds", type=float, default=300.0, help="into the WebSocket; 0: none (suite live)")


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
        spoken_into = {}
        if arguments.spoken_seconds:
            spoken_into = _spoken_into(client, url, process.pid, source, target, arguments.spoken_seconds)
            print(
                "spoken into the WebSocket:", *(f"{name} {value:.2f}" for name, value in spoken_into.items()), sep="  "
            )
    return {"source": source, "target": target, "messages": rows, "spoken_into": spoken_into}


def _message(language: str, seconds: float, number: int) -> str:
    """Prompts with pauses, as base64; each number begins with another one, so that no cache answers."""
    samples, _ = _prompts(language, seconds, number, _PAUSE_SECONDS)
    return _wav(Audio(samples[: round(seconds * people.RATE)], people.RATE))


def _prompts(language: str, seconds: float, number: int, pause: float) -> tuple[Samples, str]:
    """And what is said in them."""
    clips = itertools.islice(itertools.cycle(people.clips(language)), 7 * number, None)
    silence = np.zeros(round(pause * people.RATE), np.float32)
    parts, texts, length = list[Samples](), list[str](), 0.0
    while length < seconds:
        clip = next(clips)
        parts += [clip.samples, silence]
        texts.append(clip.text)
        length += clip.seconds + pause
    return np.concatenate(parts), " ".join(texts)


def _wav(audio: Audio) -> str:
    return base64.b64encode(encode_wav(audio)).decode()


def _spoken_into(
    client: httpx.Client, url: str, pid: int, source: str, target: str, seconds: float
) -> dict[str, float]:
    samples, text = _prompts(source, seconds, 100, _BETWEEN_SENTENCES)
    sound = resample(Audio(samples, people.RATE), OUTPUT_SAMPLE_RATE)
    pcm = encode_pcm(sound.samples)
    first, last, heard, left_out, memory = dict[int, float](), dict[int, float](), "", 0, list[float]()
    with connect(url.replace("http", "ws", 1) + "/v1/realtime/translations", max_size=None) as socket:
        audio = {"input": {"transcription": {"language": source}}, "output": {"language": target}}
        socket.send(json.dumps({"type": "session.update", "session": {"audio": audio}}))
        while json.loads(socket.recv(60))["type"] != "session.updated":
            pass
        speaker = threading.Thread(target=_speak, args=(socket, pcm), daemon=True)
        speaker.start()
        for event in map(json.loads, socket):
            if event["type"] == "session.output_audio.delta":
                memory = memory or [_memory(pid)]
                first.setdefault(event["elapsed_ms"], event["lag_ms"] / 1000)
                last[event["elapsed_ms"]] = event["lag_ms"] / 1000
            elif event["type"] == "session.input_transcript.delta":
                heard += event["delta"]
            elif event["type"] == "error":
                left_out += 1
    memory.append(_memory(pid))
    told = _whole(client, _wav(sound), source)
    third = max(1, len(first) // 3)
    lags = list(first.values())
    return {
        "sentences": len(first),
        "first_sound_p50": statistics.median(lags),
        "first_sound_p95": _p95(lags),
        "last_sound_p50": statistics.median(last.values()),
        "last_sound_p95": _p95(list(last.values())),
        "first_third_p50": statistics.median(lags[:third]),
        "last_third_p50": statistics.median(lags[-third:]),
        "told_as_left_out": left_out,
        "mib_at_first": memory[0],
        "mib_at_the_end": memory[-1],
        "wrong_words": word_error_rate(text, heard, source),
        "wrong_words_of_the_file": word_error_rate(text, told, source),
    }


def _whole(client: httpx.Client, message: str, source: str) -> str:
    body = {"audio": message, "source_language": source}
    begun = client.post("/api/v1/voice/transcribe", json=body, headers={"Prefer": "respond-async"})
    with client.stream("GET", f"{begun.headers['location']}/events") as answer:
        return str([members for _, members in _events(answer)][-1]["original_text"])


def _speak(socket: ClientConnection, pcm: bytes) -> None:
    """At the pace of speech, in frames of 100 ms."""
    size, began = OUTPUT_SAMPLE_RATE // 10 * 2, time.perf_counter()
    for number, start in enumerate(range(0, len(pcm), size)):
        time.sleep(max(0.0, began + number / 10 - time.perf_counter()))
        socket.send(pcm[start : start + size])
    socket.send(json.dumps({"type": "session.close"}))


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


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
    """Raises RuntimeError for a job that fails."""
    for kind, members in events(answer):
        if kind == "error":
            raise RuntimeError(members["detail"])
        yield kind, members


@contextmanager
def _service() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voice-benchmark-", ignore_cleanup_errors=True) as folder:
        own = {"PORT": str(port), "DATA_DIR": folder, "LOG_LEVEL": "warning", "MAX_AUDIO_SECONDS": _LONGEST_SECONDS}
        with running(["src.main"], port, own, _START_SECONDS) as served:
            yield served


def _memory(pid: int) -> float:
    """MiB that the process and its children have to themselves or share, each page counted once."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return own + sum(_memory(int(child)) for child in children)
