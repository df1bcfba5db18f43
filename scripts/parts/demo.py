"""One spoken message through a service of its own: started here, asked over HTTP as a mobile app asks, stopped again.

`scripts/demo` runs this once everything is installed.
"""

import argparse
import base64
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

import av
import httpx
import requests
import soundfile
from av.audio.stream import AudioStream
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.parts import people  # noqa: E402 - the path above makes it importable
from src.config.settings import Settings  # noqa: E402

OUTPUT = ROOT / "var" / "demo"
PROMPTS = {
    "en": "Your call is now first in line and will be answered by the next available representative.",
    "es": "Por el momento, usted es la unica persona en la conferencia.",
    "fr": "Il n'y a qu'un seul participant dans cette conférence.",
    "it": "Questo non è un numero di conferenza valido. Prego riprovare.",
    "ru": "Пожалуйста, проверьте номер и наберите еще раз.",
}
"""Of scripts/parts/people.py."""
FORMATS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "m4a": "aac"}
START_SECONDS = 120.0
ANSWER_SECONDS = 600.0
STOP_SECONDS = 25.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """What went wrong, in words for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Message:
    """A recording to send. `text`: what is said in it, where that is known."""

    path: Path
    audio_format: str
    language: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. `log` is the file that it writes to."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def log_tail(self, lines: int = 20) -> str:
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text) or "    (nothing)"


def main() -> int:
    arguments = parse_arguments()
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        run(arguments)
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the service is stopped.", file=sys.stderr)
        return 130
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Translate one spoken message.")
    add = parser.add_argument
    add("--from", dest="source", default="en", metavar="LANG", help="language of the message (default: en)")
    add("--to", default="es", metavar="LANG", help="language of the answer (default: es)")
    add("--input", type=Path, metavar="FILE", help="a recording of yours instead of a person's prompt")
    add("--format", choices=FORMATS, help="how the prompt is sent (default: wav; a FILE is sent as it is)")
    parser.add_argument("--keep", action="store_true", help="leave the service running")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    began = float(os.environ.get("DEMO_BEGAN") or time.time())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    message = message_of(arguments)
    ready = time.time()
    with running_service(keep=arguments.keep) as service:
        started = time.time()
        body = ask(service, message, arguments.to)
        answered = time.time()
        again = hear(service, body)
        show(body, message, again)
        save(body, OUTPUT / f"translation-{arguments.to}.wav")
    spent = {"setup": ready - began, "start": started - ready, "translation": answered - started}
    spent["hearing it again"] = time.time() - answered
    told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
    print(f"The whole run took {time.time() - began:.0f} s: {told}.")


# --- the message


def message_of(arguments: argparse.Namespace) -> Message:
    """What to send. Raises DemoError."""
    if arguments.input is None:
        return person(arguments.source, arguments.format or "wav")
    if not arguments.input.is_file():
        raise DemoError(f"there is no file {arguments.input}.")
    audio_format = arguments.format or "auto"
    return Message(arguments.input, audio_format, arguments.source, None)


def person(language: str, audio_format: str) -> Message:
    """A recording of a person, as a phone might send it."""
    if language not in PROMPTS:
        raise DemoError(
            f"there is no recording in {language!r}, only in {', '.join(PROMPTS)}: give one with --input FILE."
        )
    text = PROMPTS[language]
    try:
        samples = next(clip.samples for clip in people.clips(language) if clip.text == text)
    except (requests.RequestException, OSError) as error:
        raise DemoError(
            f"the recordings of people could not be fetched ({error}): give one with --input FILE."
        ) from error
    path = OUTPUT / f"message-{language}.wav"
    soundfile.write(path, samples, people.RATE)
    print(f'A person says: "{text}" ({path.relative_to(ROOT)})')
    return Message(path if audio_format == "wav" else encode(path, audio_format), audio_format, language, text)


def encode(message: Path, audio_format: str) -> Path:
    """The same message in another format."""
    path = message.with_suffix(f".{audio_format}")
    with av.open(str(message)) as source, av.open(str(path), "w") as target:
        stream = cast("AudioStream", target.add_stream(FORMATS[audio_format], rate=source.streams.audio[0].rate))
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


# --- the service


@contextmanager
def running_service(*, keep: bool) -> Iterator[Service]:
    """A service on a free port, with a data folder of its own; both are gone afterwards, unless it is to be kept."""
    data_dir = Path(tempfile.mkdtemp(prefix="voice-demo-"))
    service = None
    answered = False
    try:
        service = start(data_dir)
        wait_until_ready(service)
        yield service
        answered = True
    finally:
        if service is not None and answered and keep:
            print(f"\nThe service is still running: {service.url}  (process {service.process.pid}, data in {data_dir})")
            print(f"Stop it with:  kill {service.process.pid}")
        else:
            if service is not None:
                stop(service.process)
            shutil.rmtree(data_dir, ignore_errors=True)


def start(data_dir: Path) -> Service:
    port = free_port()
    log = OUTPUT / "service.log"
    # The demo is the same everywhere: settings in the environment do not count, nor .env, which is read from cwd; but
    # for the folders of the weights.
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    chosen = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        "WHISPER_DIR": weights("WHISPER_DIR"),
        "KOKORO_DIR": weights("KOKORO_DIR"),
        "TRANSLATION_ENGINES": "apertium",
        "VOICE_ENGINE": "embedded",
        "LOG_FORMAT": "text",
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "src.main"],
            cwd=data_dir,
            env=inherited | chosen,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one group with its children, that Ctrl-C does not reach and stop() ends whole
        )
    return Service(process, f"http://127.0.0.1:{port}", log)


def weights(setting: str) -> str:
    """The folder into which scripts/setup brings them."""
    chosen = os.environ.get(setting) or dotenv_values(ROOT / ".env").get(setting)
    return str(ROOT / (chosen or str(Settings.model_fields[setting.lower()].default)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(service: Service) -> None:
    began = time.monotonic()
    progress = Progress("Starting the service")
    while (elapsed := time.monotonic() - began) < START_SECONDS:
        if service.process.poll() is not None:
            raise DemoError(f"the service did not start. Its log ends:\n{service.log_tail()}")
        if is_ready(service):
            progress.done(elapsed)
            return
        progress.show(elapsed)
        time.sleep(0.1)
    raise DemoError(f"the service was not ready within {START_SECONDS:.0f} s. Its log ends:\n{service.log_tail()}")


def is_ready(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health/ready", timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class Progress:
    """One line that counts the seconds on a terminal, and two lines in a log file."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._live = sys.stdout.isatty()
        if not self._live:
            print(f"{text} ...", flush=True)

    def show(self, seconds: float) -> None:
        if self._live:
            print(f"\r{self._text} ... {seconds:.0f} s ", end="", flush=True)

    def done(self, seconds: float) -> None:
        start_of_line = "\r" if self._live else ""
        print(f"{start_of_line}{self._text}: ready after {seconds:.1f} s", flush=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and end the whole group when it has not: engines in child processes included."""
    for number in SIGNALS:  # a second Ctrl-C must not leave the service behind
        signal.signal(number, signal.SIG_IGN)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# --- the request


def ask(service: Service, message: Message, target: str) -> dict[str, Any]:
    """What a mobile app does: one POST with base64 audio, one JSON answer."""
    audio, kind = message.path.read_bytes(), message.audio_format
    request = {"audio": base64.b64encode(audio).decode(), "audio_format": kind, "target_language": target}
    print(f"POST {service.url}/api/v1/voice/translate  ({len(audio)} bytes of {kind}, to {target})", flush=True)
    try:
        with httpx.Client(base_url=service.url, timeout=ANSWER_SECONDS, trust_env=False) as client:
            response = client.post("/api/v1/voice/translate", json=request)
            if response.status_code == 202:
                response = wait_for_job(client, response.headers["location"])
    except httpx.TransportError as error:
        raise DemoError(f"the service did not answer ({error!r}). Its log ends:\n{service.log_tail()}") from error
    body: dict[str, Any] = response.json()
    if response.status_code >= 500:
        raise DemoError(f"{explain(body)}\nThe service's log ends:\n{service.log_tail()}")
    if response.status_code != 200 or body["status"] != "completed":
        raise DemoError(explain(body))
    return body


def wait_for_job(client: httpx.Client, location: str) -> httpx.Response:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        response = client.get(location)
        if response.status_code != 200 or response.json()["status"] in ("completed", "failed"):
            return response
        time.sleep(0.5)
    raise DemoError(f"the job had not ended after {ANSWER_SECONDS:.0f} s.")


def hear(service: Service, body: dict[str, Any]) -> str:
    """What the recogniser hears in the answer."""
    request = {"audio": body["audio_base64"], "source_language": body["target_language"]}
    with httpx.Client(base_url=service.url, timeout=ANSWER_SECONDS, trust_env=False) as client:
        response = client.post("/api/v1/voice/transcribe", json=request)
    found: dict[str, Any] = response.json()
    return str(found["text"]) if response.status_code == 200 else f"nothing: {explain(found)}"


def explain(body: dict[str, Any]) -> str:
    problem = body.get("error") or body
    return f"{problem.get('detail', body)} ({problem.get('code', 'no code')})"


# --- the answer


def show(body: dict[str, Any], message: Message, again: str) -> None:
    encoded = body["audio_base64"]
    shortened = body | {"audio_base64": f"{encoded[:48]}... ({len(encoded)} characters)"}
    print(json.dumps(shortened, indent=2, ensure_ascii=False))
    print("\nstage              milliseconds")
    for name, value in body["timestamps"].items():
        print(f"{name.removesuffix('_ms'):<18} {value:>12}")
    print(f"{'whole request':<18} {body['processing_time_ms']:>12}\n")
    if message.text is not None:
        print(f"Spoken:      {message.text}")
    print(f"Heard:       {body['original_text']}")
    print(f"Translated:  {body['translated_text']}")
    print(f"Heard again: {again}\n")


def save(body: dict[str, Any], path: Path) -> None:
    path.write_bytes(base64.b64decode(body["audio_base64"]))
    print(f"Saved {path}")
    player = "afplay" if platform.system() == "Darwin" else "aplay"
    if shutil.which(player):
        print(f"Listen:  {player} {path}")


if __name__ == "__main__":
    sys.exit(main())
