"""The published models that the service can load: their names, their files, and where these belong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.downloads.checksums import Checksum
from scripts.downloads.errors import DownloadError

WHISPER = {
    "tiny": ("65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9", 76),
    "tiny.en": ("d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03", 76),
    "base": ("ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e", 145),
    "base.en": ("25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead", 145),
    "small": ("9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794", 484),
    "small.en": ("f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872", 484),
    "medium": ("345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1", 1528),
    "medium.en": ("d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f", 1528),
    "large-v1": ("e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a", 3087),
    "large-v2": ("81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524", 3087),
    "large-v3": ("e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb", 3087),
    "large-v3-turbo": ("aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a", 1618),
}
"""Name to SHA-256, as in the addresses of openai-whisper's `_MODELS`, and about how many MB. Kept here so that a
machine which only fetches needs neither torch nor whisper; a test compares the two."""

ALIASES = {"turbo": "large-v3-turbo", "large": "large-v3"}

XTTS_FILES = ("config.json", "vocab.json", "mel_stats.pth", "speakers_xtts.pth", "model.pth")
"""Small ones first: what is wrong with a source shows before the 1.9 GB."""

XTTS_ABOUT_MEGABYTES = 1876

AUDIOSEAL_FILES = ("detector_base.pth", "generator_base.pth")
AUDIOSEAL_ABOUT_MEGABYTES = 94


@dataclass(frozen=True, slots=True)
class File:
    """One published file. `name` below its model's folder; `checksum` where it is known without asking."""

    kind: Literal["whisper", "xtts", "audioseal"]
    name: str
    checksum: Checksum | None = None

    @property
    def path(self) -> str:
        """Where it lies in a mirror, and below `--to`."""
        return self.name if self.kind == "whisper" else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    files: tuple[File, ...]
    about_megabytes: int


def _whisper(name: str) -> Model:
    digest, megabytes = WHISPER[name]
    return Model(f"whisper:{name}", (File("whisper", f"{name}.pt", Checksum("sha256", digest)),), megabytes)


MODELS = {
    model.name: model
    for model in (
        *(_whisper(name) for name in WHISPER),
        Model("xtts", tuple(File("xtts", name) for name in XTTS_FILES), XTTS_ABOUT_MEGABYTES),
        Model("audioseal", tuple(File("audioseal", name) for name in AUDIOSEAL_FILES), AUDIOSEAL_ABOUT_MEGABYTES),
    )
}


class UnknownModel(DownloadError):
    """Exit code 2: as for a wrong option."""

    exit_code = 2


def choose(names: Sequence[str]) -> list[Model]:
    """The models of these names, each once, in order. Raises UnknownModel."""
    chosen = {}
    for name in names:
        kind, _, size = name.partition(":")
        full = f"{kind}:{ALIASES.get(size, size)}" if size else kind
        if full not in MODELS:
            raise UnknownModel(f"There is no model {name!r}. There are: {', '.join(MODELS)}, whisper:turbo.")
        chosen[full] = MODELS[full]
    return list(chosen.values())


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the service looks: Whisper's .pt files lie in one folder, each other model's files in another."""

    whisper: Path
    xtts: Path
    audioseal: Path

    def place(self, file: File) -> Path:
        folder: Path = getattr(self, file.kind)
        return folder / file.name
