"""Where models come from: the places that publish them, or a mirror of one's own over HTTPS or S3."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from scripts.downloads.catalogue import File
from scripts.downloads.checksums import Checksum, read_manifest
from scripts.downloads.errors import Refused
from scripts.downloads.http import Body, Http, NotFound, shown, strong

HUB = "https://huggingface.co"
WHISPER_HOST = "https://openaipublic.azureedge.net"
XTTS_REPOSITORY = "coqui/XTTS-v2"
XTTS_REVISION = "6c2b0d75eae4b7047358e3b6bd9325f857d43f77"
"""XTTS-v2.0.3, the last one published; a commit, so that all its files belong together."""
AUDIOSEAL_REPOSITORY = "facebook/audioseal"
AUDIOSEAL_REVISION = "main"

MANIFEST = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as its source describes it. `validator`: the ETag under which it can be resumed, None when unknown."""

    size: int
    checksum: Checksum
    validator: str | None


class Source(Protocol):
    def describe(self, file: File) -> Remote:
        """Ask for size and checksum. Raises DownloadError."""

    def open(self, file: File, start: int, validator: str | None) -> AbstractContextManager[Body]:
        """The file from byte `start` on, if it still has that validator. Raises DownloadError."""

    def forget(self) -> None:
        """What was learned before: the next `describe` asks anew."""


class WhisperHost:
    """openai-whisper's own address, in which the SHA-256 is a folder."""

    def __init__(self, http: Http, base: str = WHISPER_HOST) -> None:
        self._http, self._base = http, base.rstrip("/")

    def _url(self, file: File) -> str:
        return f"{self._base}/main/whisper/models/{_known(file).digest}/{file.name}"

    def describe(self, file: File) -> Remote:
        headers = self._http.head(self._url(file))
        return Remote(
            _length(headers.get("Content-Length"), self._url(file)), _known(file), strong(headers.get("ETag"))
        )

    @contextmanager
    def open(self, file: File, start: int, validator: str | None) -> Iterator[Body]:
        with self._http.get(self._url(file), start, _if_range(validator)) as body:
            yield body

    def forget(self) -> None:
        """It has nothing to forget."""


class Hub:
    """Hugging Face's hub: describes a file itself, and redirects to a content network for large ones."""

    def __init__(
        self, http: Http, base: str = HUB, revision: str = XTTS_REVISION, repository: str = XTTS_REPOSITORY
    ) -> None:
        self._http, self._base, self._revision, self._repository = http, base.rstrip("/"), revision, repository

    def _url(self, file: File) -> str:
        return f"{self._base}/{self._repository}/resolve/{quote(self._revision)}/{file.name}"

    def describe(self, file: File) -> Remote:
        """X-Linked-ETag is the SHA-256 of a large file; the ETag of a small one is its id in git."""
        url = self._url(file)
        headers = self._http.head_within_host(url)
        etag = headers.get("X-Linked-ETag") or headers.get("ETag") or ""
        checksum = Checksum.from_etag(etag)
        if checksum is None:
            raise Refused(f"{shown(url)} comes without a checksum, so it cannot be verified.")
        # The content network has ETags of its own, which its first answer tells.
        return Remote(_length(headers.get("X-Linked-Size") or headers.get("Content-Length"), url), checksum, None)

    @contextmanager
    def open(self, file: File, start: int, validator: str | None) -> Iterator[Body]:
        with self._http.get(self._url(file), start, _if_range(validator)) as body:
            yield body

    def forget(self) -> None:
        """It has nothing to forget."""


class Published:
    """Each kind of model from the place that publishes it."""

    def __init__(self, whisper: Source, xtts: Source, audioseal: Source) -> None:
        self._sources = {"whisper": whisper, "xtts": xtts, "audioseal": audioseal}

    def describe(self, file: File) -> Remote:
        return self._sources[file.kind].describe(file)

    def open(self, file: File, start: int, validator: str | None) -> AbstractContextManager[Body]:
        return self._sources[file.kind].open(file, start, validator)

    def forget(self) -> None:
        for source in self._sources.values():
            source.forget()


class Addresses(Protocol):
    """How a mirror's files are addressed."""

    condition: str
    """The header that makes a range depend on the ETag: If-Range, or If-Match."""

    def __str__(self) -> str: ...

    def url(self, path: str, *, head: bool = False) -> str: ...


@dataclass(frozen=True)
class Prefix:
    """Addresses that begin with an https:// prefix."""

    base: str
    condition = "If-Range"

    def __str__(self) -> str:
        return shown(self.base).rstrip("/")

    def url(self, path: str, *, head: bool = False) -> str:
        return f"{self.base.rstrip('/')}/{path}"


class Mirror:
    """A copy of the models' folder. Whisper's checksums are known; those of other files stand in its SHA256SUMS."""

    def __init__(self, http: Http, addresses: Addresses) -> None:
        self._http, self._addresses = http, addresses
        self._manifest: dict[str, Checksum] | None = None

    def describe(self, file: File) -> Remote:
        checksum = file.checksum or self._from_manifest(file.path)
        url = self._addresses.url(file.path, head=True)
        headers = self._http.head(url)
        return Remote(_length(headers.get("Content-Length"), url), checksum, strong(headers.get("ETag")))

    @contextmanager
    def open(self, file: File, start: int, validator: str | None) -> Iterator[Body]:
        condition = None if validator is None else {self._addresses.condition: validator}
        with self._http.get(self._addresses.url(file.path), start, condition) as body:
            yield body

    def forget(self) -> None:
        self._manifest = None

    def _from_manifest(self, path: str) -> Checksum:
        if self._manifest is None:
            try:
                self._manifest = read_manifest(self._http.text(self._addresses.url(MANIFEST)))
            except NotFound as error:
                raise Refused(f"{self._addresses} has no {MANIFEST}. {_MAKE_MANIFEST}") from error
        if path not in self._manifest:
            raise Refused(f"{self._addresses}/{MANIFEST} has no line for {path}. {_MAKE_MANIFEST}")
        return self._manifest[path]


_MAKE_MANIFEST = f"Make it in the folder that is mirrored: sha256sum *.pt xtts/* audioseal/* > {MANIFEST}"


def _known(file: File) -> Checksum:
    if file.checksum is None:
        raise Refused(f"The checksum of {file.name} is not known.")
    return file.checksum


def _if_range(validator: str | None) -> dict[str, str] | None:
    return None if validator is None else {"If-Range": validator}


def _length(value: str | None, url: str) -> int:
    if value is None or not value.isdigit():
        raise Refused(f"{shown(url)} does not say how long it is.")
    return int(value)
