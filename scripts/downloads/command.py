"""The command's work: which files are missing, whether there is room, and fetching them in turn."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.downloads.catalogue import MODELS, File, Folders, Model
from scripts.downloads.errors import InTheWay, LicenceNotAccepted, Refused
from scripts.downloads.http import Http
from scripts.downloads.patience import Patience
from scripts.downloads.progress import Progress, size
from scripts.downloads.s3 import Bucket
from scripts.downloads.sources import (
    AUDIOSEAL_REPOSITORY,
    AUDIOSEAL_REVISION,
    HUB,
    WHISPER_HOST,
    XTTS_REVISION,
    Hub,
    Mirror,
    Prefix,
    Published,
    Remote,
    Source,
    WhisperHost,
)
from scripts.downloads.transfer import Transfer, check_room, part_of


@dataclass(frozen=True, slots=True)
class Origin:
    """`mirror`: an https:// or s3:// prefix; None: the places that publish the models, at these addresses."""

    mirror: str | None = None
    hub: str = HUB
    revision: str = XTTS_REVISION
    whisper_host: str = WHISPER_HOST


@contextmanager
def opened(origin: Origin, patience: Patience) -> Iterator[Source]:
    """The source to ask. Raises Refused for an address that is none."""
    bucket = None
    if origin.mirror is not None and origin.mirror.startswith("s3://"):
        bucket = Bucket(origin.mirror, patience.connect_seconds, patience.read_seconds)
    elif origin.mirror is not None and not origin.mirror.startswith(("https://", "http://")):
        raise Refused(f"--from {origin.mirror}: it is `hub`, https://… or s3://bucket/prefix.")
    http = Http(patience, plain_host=bucket.host if bucket else None)
    try:
        if origin.mirror is None:
            yield Published(
                WhisperHost(http, origin.whisper_host),
                Hub(http, origin.hub, origin.revision),
                Hub(http, origin.hub, AUDIOSEAL_REVISION, AUDIOSEAL_REPOSITORY),
            )
        else:
            yield Mirror(http, bucket or Prefix(origin.mirror))
    finally:
        http.close()


def check_licence(models: Sequence[Model], *, accepted: bool) -> None:
    """Raises LicenceNotAccepted."""
    if MODELS["xtts"] in models and not accepted:
        raise LicenceNotAccepted(
            "XTTS-v2 is under the Coqui Public Model License, which allows non-commercial use only. Read it at"
            " https://coqui.ai/cpml, and set COQUI_TOS_AGREED=1 to say that you accept it."
        )


def download(
    models: Sequence[Model], folders: Folders, transfer: Transfer, progress: Progress, *, replace: bool
) -> None:
    """Bring all files of the models that are not there yet. Raises DownloadError at the first that cannot be had.

    `replace`: also those in whose place another file lies.
    """
    missing = _missing([file for model in models for file in model.files], folders, transfer, progress, replace=replace)
    check_room({target: _to_come(remote, target) for _, remote, target in missing})
    for file, remote, target in missing:
        transfer.fetch(file, remote, target)
        progress.say(f"{target}: verified")


def _missing(
    files: Sequence[File], folders: Folders, transfer: Transfer, progress: Progress, *, replace: bool
) -> list[tuple[File, Remote, Path]]:
    """What to fetch, with its description. Files with known checksums that are there need no network."""
    missing = []
    for file in files:
        target = folders.place(file)
        exists = target.is_file()
        remote = None
        if not exists or file.checksum is None:
            remote = transfer.describe(file)
        checksum = remote.checksum if remote else file.checksum
        if exists and checksum is not None and checksum.fits(target):
            progress.say(f"{target}: already there")
            continue
        if exists and not replace:
            raise InTheWay(
                f"{target} is there, but is not the file of that name in the source: it is another, or was damaged."
                " Move it away, or replace it with --replace."
            )
        missing.append((file, remote or transfer.describe(file), target))
    return missing


def _to_come(remote: Remote, target: Path) -> int:
    part = part_of(target, remote.checksum)
    return max(0, remote.size - (part.stat().st_size if part.is_file() else 0))


def listing(folders: Folders) -> str:
    """A line for each model: name, size, and whether its files are there."""
    lines = []
    for model in MODELS.values():
        there = all(folders.place(file).is_file() for file in model.files)
        notes = ["there"] if there else []
        if model.name == "xtts":
            notes.append("non-commercial: https://coqui.ai/cpml")
        about = size(model.about_megabytes * 10**6)
        lines.append(f"{model.name:<24}{about:>8}  {', '.join(notes)}".rstrip())
    return "\n".join(lines)
