"""What the tests of downloads share: quick deadlines, a file to fetch, and a progress that remembers."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.downloads.catalogue import File
from scripts.downloads.checksums import Checksum
from scripts.downloads.patience import Patience
from scripts.downloads.sources import Source
from scripts.downloads.transfer import Transfer

QUICK = Patience(
    connect_seconds=5.0,
    read_seconds=10.0,
    slowest_bytes=1000,
    attempts=4,
    contact_attempts=2,
    first_pause_seconds=0.01,
    longest_pause_seconds=2.0,
)
"""Short pauses; and deadlines that a busy machine keeps."""

BODY = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)


def sha256(body: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(body).hexdigest())


def whisper_file(body: bytes = BODY) -> File:
    return File("whisper", "tiny.pt", sha256(body))


class Remembered:
    """Implements Progress."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.positions: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def meter(self, name: str, total: int) -> Iterator["Remembered"]:
        yield self

    def at(self, position: int) -> None:
        self.positions.append(position)


def fetch(
    source: Source, file: File, target: Path, *, patience: Patience = QUICK, progress: Remembered | None = None
) -> None:
    transfer = Transfer(source, patience, progress or Remembered())
    transfer.fetch(file, transfer.describe(file), target)
