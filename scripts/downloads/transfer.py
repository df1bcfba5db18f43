"""One file: resumed where it broke off, verified, and only then given its name."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from scripts.downloads.catalogue import File
from scripts.downloads.checksums import Checksum
from scripts.downloads.errors import Changed, Corrupted, Interrupted, InTheWay, NoSpace
from scripts.downloads.patience import Patience, patiently
from scripts.downloads.progress import Meter, Progress, size
from scripts.downloads.sources import Remote, Source


def part_of(target: Path, checksum: Checksum) -> Path:
    """Where the bytes are kept until they are all there.

    The checksum is in the name, so that what an earlier run brought is gone on with from any source of the same file,
    and never with another file's bytes.
    """
    return target.with_name(f"{target.name}.{checksum.digest[:12]}.part")


class Transfer:
    """Fetches files from one source. `part`: where the bytes of the current file are, or were."""

    def __init__(self, source: Source, patience: Patience, progress: Progress) -> None:
        self._source, self._patience, self._progress = source, patience, progress
        self.part: Path | None = None

    def describe(self, file: File) -> Remote:
        """Raises DownloadError."""
        return patiently(
            lambda: self._source.describe(file),
            self._patience,
            self._patience.contact_attempts,
            self._progress.say,
        )

    def fetch(self, file: File, remote: Remote, target: Path) -> None:
        """Bring the file to `target`, whole and verified, replacing what is there.

        A wrong checksum, or a file that changed on its way, is fetched once more. Raises DownloadError; the part file
        stays, but for one with a wrong checksum.
        """
        for last in (False, True):
            try:
                self._fetch_once(file, remote, target)
            except (Changed, Corrupted) as error:
                if last:
                    raise
                self._progress.say(f"{error} Fetching it once more.")
                self._source.forget()
                remote = self.describe(file)
            else:
                return

    def _fetch_once(self, file: File, remote: Remote, target: Path) -> None:
        self.part = part = part_of(target, remote.checksum)
        with _writing(target), _locked(part) as out:
            try:
                with self._progress.meter(file.path, remote.size) as meter:
                    self._fill(file, remote, out, meter)
            except Changed:
                part.unlink()
                raise
            out.flush()
            if not remote.checksum.fits(part):
                part.unlink()
                raise Corrupted(f"{file.path} came with a wrong checksum, and was deleted.")
            os.fsync(out.fileno())
            # Not earlier: whoever finds a file under its own name may trust it.
            part.replace(target)
        for other in target.parent.glob(f"{_escaped(target.name)}.*.part"):
            other.unlink(missing_ok=True)

    def _fill(self, file: File, remote: Remote, out: BinaryIO, meter: Meter) -> None:
        """Bring the part file to its whole length, in as many attempts as patience allows."""
        validator = remote.validator
        if out.seek(0, os.SEEK_END) > remote.size:
            out.truncate(0)

        def attempt() -> None:
            nonlocal validator
            start = out.seek(0, os.SEEK_END)
            meter.at(start)
            if start == remote.size:
                return
            with self._source.open(file, start, validator) as body:
                if body.total not in {None, remote.size}:
                    raise Changed(f"{file.path} has {body.total} bytes where {remote.size} were announced.")
                validator = body.validator or validator
                if body.start != start:  # the server knows no ranges, or has another ETag
                    out.truncate(body.start)
                _write(body.chunks, out, body.start, remote.size, meter, file)

        patiently(attempt, self._patience, self._patience.attempts, self._progress.say, out.tell)


def _write(chunks: Iterator[bytes], out: BinaryIO, start: int, end: int, meter: Meter, file: File) -> None:
    position = out.seek(start)
    for chunk in chunks:
        position += len(chunk)
        if position > end:
            raise Changed(f"{file.path} goes on after the {end} bytes that were announced.")
        out.write(chunk)
        meter.at(position)
    if position < end:
        raise Interrupted(f"{file.path} ended after {position} of {end} bytes.")


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Folders made; errors of the disk as ours."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(
                f"The disk of {target.parent} is full. What came is kept: make room and run this again."
            ) from error
        raise InTheWay(f"{target} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The part file, for this process alone. Raises InTheWay."""
    # Not "ab": what a server sends from the beginning again must go there.
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InTheWay(f"Another process is fetching {part}.") from error
        yield out


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def check_room(missing: dict[Path, int]) -> None:
    """`missing`: bytes that will be written, by target. Raises NoSpace when a disk has not as many."""
    disks: dict[int, tuple[Path, int]] = {}
    for target, count in missing.items():
        folder = next(parent for parent in target.absolute().parents if parent.is_dir())
        disk = folder.stat().st_dev
        disks[disk] = (folder, disks.get(disk, (folder, 0))[1] + count)
    for folder, count in disks.values():
        status = os.statvfs(folder)
        free = status.f_bavail * status.f_frsize
        if free < count:
            raise NoSpace(
                f"{folder} has {size(free)} left, and {size(count)} are needed. Choose another disk with --to."
            )
