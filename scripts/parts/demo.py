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
from av.audio.stream import AudioStream

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from src.config.settings import Settings  # noqa: E402  (the path above makes it importable)

OUTPUT = ROOT / "var" / "demo"
SENTENCE = "my sister will arrive at the airport tomorrow evening"
FORMATS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "m4a": "aac"}
START_SECONDS = 120.0
ANSWER_SECONDS = 600.0
STOP_SECONDS = 25.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """What went wrong, in words for the person at the terminal."""


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
    parser.add_argument("--to", default="es", metavar="LANG", help="language of the answer (default: es)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="a recording to translate instead of a made one")
    parser.add_argument("--format", choices=FORMATS, help="how the message is sent (default: the file's kind, or wav)")
    parser.add_argument("--keep", action="store_true", help="leave the service running")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    began = float(os.environ.get("DEMO_BEGAN") or time.time())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    message, audio_format = message_of(arguments)
    with running_service(keep=arguments.keep) as service:
        body = ask(service, message.read_bytes(), audio_format, arguments.to)
        show(body, spoken=None if arguments.input else SENTENCE)
        save(body, OUTPUT / f"translation-{arguments.to}.wav")
    took = time.time() - began
    print(f"The whole run took {took:.0f} s.")


# --- the message


def message_of(arguments: argparse.Namespace) -> tuple[Path, str]:
    """The file to send, and the format to declare."""
    if arguments.input is None:
        message = speak_message(OUTPUT / "message.wav")
        return (message, "wav") if arguments.format in (None, "wav") else encode(message, arguments.format)
    if not arguments.input.is_file():
        raise DemoError(f"there is no file {arguments.input}.")
    audio_format = arguments.format or arguments.input.suffix.lower().lstrip(".")
    if audio_format not in FORMATS:
        raise DemoError(f"{arguments.input.name} does not end in {', '.join(FORMATS)}: say which it is with --format.")
    return arguments.input, audio_format


def speak_message(path: Path) -> Path:
    if shutil.which("flite"):
        command = ["flite", "-voice", "rms", "-t", SENTENCE, "-o", str(path)]
    elif shutil.which("say"):
        command = ["say", "-o", str(path), "--file-format=WAVE", "--data-format=LEI16@16000", SENTENCE]
    else:
        raise DemoError("there is no flite to make a message with: install it, or give a recording with --input FILE.")
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except subprocess.SubprocessError as error:
        raise DemoError(f"{command[0]} could not make the message: {error}") from error
    print(f'Message: "{SENTENCE}", spoken by {command[0]} ({path.relative_to(ROOT)})')
    return path


def encode(message: Path, audio_format: str) -> tuple[Path, str]:
    """The same message as a phone might record it."""
    path = message.with_suffix(f".{audio_format}")
    with av.open(str(message)) as source, av.open(str(path), "w") as target:
        stream = cast("AudioStream", target.add_stream(FORMATS[audio_format], rate=source.streams.audio[0].rate))
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path, audio_format


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
    # The demo is the same everywhere: settings in the environment do not count, nor .env, which is read from cwd.
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    chosen = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        "TRANSCRIPTION_ENGINE": "pocketsphinx",
        "TRANSLATION_ENGINES": "apertium",
        "VOICE_ENGINE": "espeak",
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


def ask(service: Service, audio: bytes, audio_format: str, target: str) -> dict[str, Any]:
    """What a mobile app does: one POST with base64 audio, one JSON answer."""
    request = {"audio": base64.b64encode(audio).decode(), "audio_format": audio_format, "target_language": target}
    print(f"POST {service.url}/api/v1/voice/translate  ({len(audio)} bytes of {audio_format}, to {target})", flush=True)
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


def explain(body: dict[str, Any]) -> str:
    problem = body.get("error") or body
    return f"{problem.get('detail', body)} ({problem.get('code', 'no code')})"


# --- the answer


def show(body: dict[str, Any], *, spoken: str | None) -> None:
    encoded = body["audio_base64"]
    shortened = body | {"audio_base64": f"{encoded[:48]}... ({len(encoded)} characters)"}
    print(json.dumps(shortened, indent=2, ensure_ascii=False))
    print("\nstage              milliseconds")
    for name, value in body["timestamps"].items():
        print(f"{name.removesuffix('_ms'):<18} {value:>12}")
    print(f"{'whole request':<18} {body['processing_time_ms']:>12}\n")
    if spoken is not None:
        verdict = "word for word" if body["original_text"] == spoken else f'"{body["original_text"]}"'
        print(f"Spoken:     {spoken}\nHeard:      {verdict}")
    else:
        print(f"Heard:      {body['original_text']}")
    print(f"Translated: {body['translated_text']}\n")


def save(body: dict[str, Any], path: Path) -> None:
    path.write_bytes(base64.b64decode(body["audio_base64"]))
    print(f"Saved {path}")
    player = "afplay" if platform.system() == "Darwin" else "aplay"
    if shutil.which(player):
        print(f"Listen:  {player} {path}")


if __name__ == "__main__":
    sys.exit(main())
