"""Checksums as the servers publish them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

_BLOCK = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Checksum:
    """`digest`: lower-case hexadecimal. git-blob: git's own SHA-1, which is the ETag of the hub's small files."""

    kind: Literal["sha256", "git-blob"]
    digest: str

    @classmethod
    def from_etag(cls, etag: str) -> Self | None:
        """Of the hub: SHA-256 for large files, git's blob id for small ones. None for anything else."""
        digest = etag.removeprefix("W/").strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{64}", digest):
            return cls("sha256", digest)
        if re.fullmatch(r"[0-9a-f]{40}", digest):
            return cls("git-blob", digest)
        return None

    def fits(self, path: Path) -> bool:
        """Read the whole file. Raises OSError."""
        return self.of(path) == self.digest

    def of(self, path: Path) -> str:
        """The digest, of this kind, of a file."""
        with path.open("rb") as file:
            if self.kind == "sha256":
                return hashlib.file_digest(file, "sha256").hexdigest()
            # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects: the hash covers a header with the length.
            hashed = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
            while block := file.read(_BLOCK):
                hashed.update(block)
            return hashed.hexdigest()


def read_manifest(text: str) -> dict[str, Checksum]:
    """File name to checksum, from what `sha256sum FILES` prints. Other lines are passed over."""
    lines = (re.fullmatch(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)", line.rstrip("\r")) for line in text.split("\n"))
    return {line[2]: Checksum("sha256", line[1].lower()) for line in lines if line is not None}
