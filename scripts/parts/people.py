"""People's speech with its text: studio prompts of Debian's packages asterisk-core-sounds (CC BY-SA), in 5 languages.

They are fetched once, each by its digest, into .cache/people, and never become a part of this repository:

    python -m scripts.parts.people [LANGUAGE ...]       fetches them, if they are not there
"""

import gzip
import io
import lzma
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
import soundfile

from src.domain.audio import Samples

ROOT = Path(__file__).resolve().parents[2]
RATE = 8_000
_POOL = "https://deb.debian.org/debian/pool/main/a/asterisk-core-sounds/"
_DIGESTS = {
    "en-wav": "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    "es-wav": "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903",
    "fr-wav": "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e",
    "it-wav": "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb",
    "ru-wav": "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201",
    "en": "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
    "es": "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
    "fr": "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
    "it": "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
    "ru": "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
}
LANGUAGES = ("en", "es", "fr", "it", "ru")
_LINE = re.compile(r"([\w/\-]+)\s*:\s*(.*\S)")
_UNSPOKEN = re.compile(r"[\d\[\]<>()]")
"""A text that has such signs says something else than what is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One prompt: float32 samples at 8 kHz, what is said, in which language."""

    samples: Samples
    text: str
    language: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def clips(language: str, shortest: float = 2.0, longest: float = 28.0) -> list[Clip]:
    """All prompts of a length in seconds whose text is what is said, in the order of the package."""
    texts = dict(_texts(language))
    found = []
    for name, data in _files(f"{language}-wav", ".wav"):
        text = texts.get("/".join(Path(name).parts[5:]).removesuffix(".wav"))
        if text is None or _UNSPOKEN.search(text):
            continue
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        if rate == RATE and shortest <= len(samples) / RATE <= longest:
            found.append(Clip(samples, text, language))
    return found


def _texts(language: str) -> Iterator[tuple[str, str]]:
    for _, data in _files(language, ".txt.gz"):
        for line in gzip.decompress(data).decode(errors="replace").splitlines():
            if match := _LINE.match(line):
                yield match[1], match[2]


def _package(package: str) -> Path:
    name = f"asterisk-core-sounds-{package}_1.6.1-1_all.deb"
    return Path(pooch.retrieve(_POOL + name, "sha256:" + _DIGESTS[package], name, ROOT / ".cache" / "people"))


def _files(package: str, ending: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a package that ends so."""
    deb = _package(package).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(_member(deb, "data.tar.xz")))) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.name.endswith(ending) else None
            if file is not None:
                yield entry.name, file.read()


def _member(deb: bytes, wanted: str) -> bytes:
    """A member of an `ar` archive, which a Debian package is: 8 bytes, then headers of 60 bytes before each member."""
    position = 8
    while position < len(deb):
        header = deb[position : position + 60]
        size = int(header[48:58])
        if header[:16].rstrip(b" /").decode() == wanted:
            return deb[position + 60 : position + 60 + size]
        position += 60 + size + size % 2
    raise ValueError(f"no {wanted}")


if __name__ == "__main__":
    for code in sys.argv[1:] or LANGUAGES:
        _package(f"{code}-wav"), _package(code)
