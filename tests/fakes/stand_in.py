"""The service and its workers on stand-in engines of fixed time: `python -m tests.fakes.stand_in api|worker`.

Settings come from the environment, as always, and the values of `tests.support.options`. A message is JSON, and says
what becomes of it: {"words": "…", "seconds": 0.3, "kills": false, "fails": ""}. Each start of one is written as a line
to the file STAND_IN_STARTS, and the words of each that was cancelled to the one beside it.
"""

import asyncio
import base64
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src import main as service
from src import worker
from src.bootstrap.engines import Engines
from src.bootstrap.translators import build_translators
from src.config.settings import Settings
from src.domain.audio import WORKING_SAMPLE_RATE, Audio, AudioFormat
from src.domain.errors import error_kind
from src.domain.provenance import FileMarks, Trust
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Segment, Transcript
from tests.fakes.engines import fake_engines
from tests.support import options


@dataclass(frozen=True)
class Message:
    words: str
    seconds: float = 0.0
    kills: bool = False
    fails: str = ""  # the code of an error, or `defect`

    def encode(self) -> str:
        """For the field `audio` of a request."""
        return base64.b64encode(json.dumps(vars(self)).encode()).decode()


@dataclass(frozen=True)
class Start:
    """A message that a worker has begun with."""

    words: str
    at: float  # Unix seconds
    process: int


def starts(path: Path) -> list[Start]:
    """In the order in which they were written."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Start(**json.loads(line)) for line in lines]


_AS_TOLD = "as the message says"


def cancelled_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-cancelled")


class ScriptDecoder:
    """Passes the message on as if it were sound."""

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        samples = np.frombuffer(data, np.uint8).astype(np.float32) / np.float32(256)
        return DecodedSpeech(Audio(samples, WORKING_SAMPLE_RATE), source_duration_seconds=1.0, offset_seconds=0.0)

    async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
        raise NotImplementedError


class ScriptTranscriber:
    """Does what the message says, and takes as long as it says."""

    name = "script"
    languages = frozenset({"en", "es"})

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        bytes_of = (audio.samples * 256).astype(np.uint8).tobytes()
        live = not bytes_of.startswith(b'{"words"')
        message = Message("live speech") if live else Message(**json.loads(bytes_of))
        if path := os.environ.get("STAND_IN_STARTS"):
            line = json.dumps(vars(Start(message.words, time.time(), os.getpid()))) + "\n"
            with Path(path).open("ab", buffering=0) as file:  # noqa: ASYNC230 - one write of a line, which is whole
                file.write(line.encode())
        if message.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if message.fails == "defect":
            raise ValueError(message.words)  # as libraries quote what they cannot do
        if message.fails:
            raise error_kind(message.fails)(_AS_TOLD)
        try:
            await asyncio.sleep(message.seconds)
        except asyncio.CancelledError:
            if path:
                with cancelled_beside(Path(path)).open("a") as file:
                    file.write(f"{message.words}\n")
            raise
        return Transcript((Segment(message.words, 0.0, 1.0, ()),), language or "en", None, 0.9)


def engines() -> Engines:
    """With a real provider where LIBRETRANSLATE_URL names one."""
    given = {"translators": build_translators(Settings()).engines} if os.environ.get("LIBRETRANSLATE_URL") else {}
    return fake_engines(decoder=ScriptDecoder(), transcriber=ScriptTranscriber(), **given)


if __name__ == "__main__":
    options.apply()
    sys.exit(service.main(engines()) if sys.argv[1] == "api" else worker.main(engines()))
