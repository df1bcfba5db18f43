"""What a backup says about itself. It is written last, so that a backup without a manifest does not count."""

import re
import secrets
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scripts.backups.errors import Damaged

FORMAT = 1

_NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{6}")
_TIME = "%Y%m%dT%H%M%SZ"


def new_name(at: datetime) -> str:
    """Names sort as their backups were made; the end of it keeps two of one second apart."""
    return f"{at.astimezone(UTC):{_TIME}}-{secrets.token_hex(3)}"


def time_of(name: str) -> datetime | None:
    """When the backup of this name was begun. None: it is no backup's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Source(_Part):
    """The database that was backed up. `written_by`: the program that wrote the dump."""

    kind: Literal["postgresql", "sqlite"]
    server_version: str
    schema_revision: str
    schema_name: str
    written_by: str


class Dump(_Part):
    """The file with the database. `size` in bytes; `sha256` in hexadecimal."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StoredFile(_Part):
    """A file that a row refers to. `size` [bytes] None: it was missing. `sha256` None: the backup has no copy."""

    size: int | None
    sha256: str | None = None


class Manifest(_Part):
    """`rows`: how many each table has. `files`: by their keys in the storage, those included and those not."""

    format: int
    name: str
    created_at: datetime
    service_version: str
    source: Source
    dump: Dump
    rows: dict[str, int]
    files_included: bool
    files: dict[str, StoredFile]

    @cached_property
    def included(self) -> dict[str, StoredFile]:
        return {key: file for key, file in self.files.items() if file.sha256 is not None}

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


def read_manifest(data: bytes, name: str) -> Manifest:
    """Raises Damaged."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise Damaged(f"The manifest of {name} cannot be read.") from None
    if manifest.format != FORMAT:
        raise Damaged(f"The manifest of {name} has the format {manifest.format}; this release reads {FORMAT}.")
    if manifest.name != name:
        raise Damaged(f"The manifest of {name} is that of another backup.")
    return manifest
