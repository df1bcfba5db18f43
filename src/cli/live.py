"""`live`: a recording as fast as it was spoken, or a microphone, over the WebSocket of live translation."""

import argparse
import base64
import json
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, Any

import av
import httpx
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from src.cli.calls import Refused
from src.domain.audio import OUTPUT_SAMPLE_RATE

STDIN = "-"
_PATH = "/v1/realtime/translations"
_RATE = OUTPUT_SAMPLE_RATE  # Hz, of PCM16, mono, both ways
_PIECE = _RATE // 10 * 2  # bytes: 100 ms
_SECONDS = 30.0
"""For the service to let a session begin."""
_LOOK_SECONDS = 0.2
"""After which it is seen that somebody pressed Ctrl-C."""
_MICROPHONE = ("arecord", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(_RATE))
_HEARD, _SAID = "<", ">"


class Away(Exception):
    """No service is there, or the connection broke."""


def live(http: httpx.Client, args: argparse.Namespace) -> dict[str, Any]:
    """Until the sound ends, or Ctrl-C; what was said before it is waited for. The translation is in `args.output`.

    Raises Refused, also for a session that the service ended and for sound that cannot be read; Away.
    """
    address = args.server.rstrip("/").replace("http", "ws", 1) + _PATH
    token = http.headers.get("authorization")
    with _sound(args.file) as pieces:
        try:
            with connect(
                address,
                additional_headers={"Authorization": token} if token else {},
                open_timeout=_SECONDS,
                max_size=None,
            ) as socket:
                _begin(socket, args)
                return _converse(socket, pieces, args)
        except InvalidStatus as error:
            raise Refused(_refusal(error)) from error
        except (WebSocketException, OSError) as error:
            raise Away(type(error).__name__) from error


def _begin(socket: ClientConnection, args: argparse.Namespace) -> None:
    """Raises Refused for a session that cannot be as asked."""
    said = {"language": args.to, "voice": args.voice}
    audio = {"input": {"transcription": {"language": args.source}}, "output": said}
    _send(socket, "session.update", session={"audio": audio})
    while (event := json.loads(socket.recv(_SECONDS)))["type"] != "session.updated":
        if event["type"] == "error":
            raise Refused(_problem(event["error"]))


def _converse(socket: ClientConnection, pieces: Iterator[bytes], args: argparse.Namespace) -> dict[str, Any]:
    ending = threading.Event()
    speaker = _Speaker(socket, pieces, ending)
    with wave.open(str(args.output), "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(_RATE)
        listener = _Listener(output, shows=not args.json)
        speaker.start()
        closing = False
        with _first_interrupt_sets(ending):
            while not listener.reason:
                if ending.is_set() and not closing:
                    closing = True
                    _send(socket, "session.close")
                with suppress(TimeoutError):
                    listener.take(json.loads(socket.recv(_LOOK_SECONDS)))  # it pings: who is gone is noticed
    if speaker.failure is not None:
        raise Refused({"detail": f"The sound cannot be read: {speaker.failure}"})
    if listener.reason != "client_closed":
        raise Refused({"detail": f"The service ended the session: {listener.reason}", **listener.answer()})
    return listener.answer()


@contextmanager
def _first_interrupt_sets(ending: threading.Event) -> Iterator[None]:
    """Ctrl-C, instead of an exception in the midst of an event that is being shown; the second one is as ever."""

    def told(number: int, frame: FrameType | None) -> None:
        if ending.is_set():
            signal.default_int_handler(number, frame)
        ending.set()

    before = signal.signal(signal.SIGINT, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Speaker(threading.Thread):
    """Sends sound as fast as it is spoken, then that nothing follows; after `ending` nothing more. A daemon, as it may
    wait for a pipe for ever.
    """

    def __init__(self, socket: ClientConnection, pieces: Iterator[bytes], ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self._socket = socket
        self._pieces = pieces
        self._ending = ending
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for piece in self._paced():
                self._socket.send(piece)
            if not self._ending.is_set():
                _send(self._socket, "session.close")
        except ConnectionClosed:
            return  # who listens tells of it

    def _paced(self) -> Iterator[bytes]:
        started, sent = time.monotonic(), 0.0
        try:
            for piece in self._pieces:
                if self._ending.wait(max(0.0, started + sent - time.monotonic())):
                    return
                yield piece
                sent += len(piece) / 2 / _RATE
        except (av.FFmpegError, OSError) as error:
            self.failure = error


@dataclass
class _Listener:
    """Shows texts as they come, writes sound. `lags`: seconds, of each piece of sound."""

    output: wave.Wave_write
    shows: bool
    heard: str = ""
    translated: str = ""
    seconds: float = 0.0
    reason: str = ""
    lags: list[float] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _side: str = ""

    def take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.input_transcript.delta":
                self.heard += event["delta"]
                self._show(_HEARD, event["delta"])
            case "session.output_transcript.delta":
                self.translated += event["delta"]
                self.degraded += [note for note in event["degraded"] if note not in self.degraded]
                self._show(_SAID, event["delta"])
            case "session.output_audio.delta":
                sound = base64.b64decode(event["delta"])
                self.output.writeframes(sound)
                self.seconds += len(sound) / 2 / _RATE
                self.lags.append(event["lag_ms"] / 1000)
            case "error":
                self.errors.append(event["error"]["message"])
                self._end_line()
                sys.stderr.write(f"note: {self.errors[-1]}\n")
            case "session.closed":
                self.reason = event["reason"]
                self._end_line()

    def answer(self) -> dict[str, Any]:
        """Named as a message's answer is. `lag_seconds`: the median."""
        return {
            "original_text": self.heard,
            "translated_text": self.translated,
            "duration_seconds": round(self.seconds, 2),
            "lag_seconds": round(statistics.median(self.lags), 2) if self.lags else None,
            "degraded": self.degraded,
            "errors": self.errors,
        }

    def _show(self, side: str, delta: str) -> None:
        """A line for each time that the one or the other speaks."""
        if not self.shows:
            return
        if side != self._side:
            self._end_line()
            self._side, delta = side, f"{side} {delta.lstrip()}"
        self._write(delta)

    def _end_line(self) -> None:
        if self._side:
            self._write("\n")
        self._side = ""

    @staticmethod
    def _write(text: str) -> None:
        """At once, as somebody reads it meanwhile."""
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _sound(file: str | None) -> Generator[Iterator[bytes]]:
    """PCM16, 24 kHz, mono, in pieces: of a recording; as it is, from the standard input; None: the microphone's.

    Raises Refused.
    """
    if file == STDIN:
        # Python closes sys.stdin at its end, and aborts where a thread still reads it.
        yield _pieces(open(sys.stdin.fileno(), "rb", closefd=False))  # noqa: SIM115
    elif file is not None:
        try:
            container = av.open(file)
        except (av.FFmpegError, OSError) as error:
            raise Refused({"detail": f"The sound cannot be read: {error}"}) from error
        yield _decoded(container)
    elif shutil.which(_MICROPHONE[0]) is None:
        raise Refused({"detail": "arecord, which hears the microphone, is not installed: it is in alsa-utils."})
    else:
        with subprocess.Popen(_MICROPHONE, stdout=subprocess.PIPE) as recording:
            assert recording.stdout is not None  # noqa: S101 - it is a pipe
            try:
                yield _pieces(recording.stdout)
            finally:
                recording.terminate()


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while len(piece := source.read(_PIECE)) > 1:
        yield piece[: len(piece) // 2 * 2]


def _decoded(container: InputContainer) -> Iterator[bytes]:
    """Raises FFmpegError."""
    resampler = AudioResampler("s16", "mono", _RATE, frame_size=_PIECE // 2)
    with container:
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                yield piece.to_ndarray().tobytes()
        for piece in resampler.resample(None):
            yield piece.to_ndarray().tobytes()


def _send(socket: ClientConnection, kind: str, **members: Any) -> None:
    socket.send(json.dumps({"type": kind, **members}))


def _refusal(error: InvalidStatus) -> dict[str, Any]:
    try:
        return _problem(json.loads(error.response.body or b"")["error"])
    except (ValueError, TypeError, KeyError):
        return {"detail": f"{error.response.status_code} {error.response.reason_phrase}"}


def _problem(error: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's form of an error in this service's own."""
    return {"code": error["code"], "detail": error["message"]}
