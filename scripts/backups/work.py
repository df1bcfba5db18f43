"""What both commands need while they work: a private folder, the database that is meant, and what they report."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from scripts.backups import postgres as pg
from scripts.backups.errors import WrongUse, told_of
from scripts.backups.manifest import Manifest
from scripts.backups.places import Place
from scripts.backups.shelf import dump_key
from src.adapters.database import sqlite
from src.adapters.database.postgres import with_driver


@dataclass(frozen=True, slots=True)
class Report:
    """What was done: `lines` for people, `facts` for programs. `exit_code`: not 0 when something is left to do."""

    lines: list[str]
    facts: dict[str, object] = field(default_factory=dict)
    exit_code: int = 0


@asynccontextmanager
async def private_folder() -> AsyncIterator[Path]:
    """For this user only, below TMPDIR; gone afterwards with everything in it."""
    with told_of("The folder for temporary files"):
        folder = Path(tempfile.mkdtemp(prefix="voice-backup-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed(url: str) -> URL:
    """Raises WrongUse for what is no database of the service."""
    try:
        parsed_url = with_driver(make_url(url))
    except (ArgumentError, ValueError):
        raise WrongUse(
            "The database's URL cannot be read: it is postgresql+asyncpg://… or sqlite+aiosqlite:///…"
        ) from None
    if parsed_url.drivername == "postgresql+asyncpg":
        if not parsed_url.database:
            raise WrongUse("The database's URL names no database: postgresql+asyncpg://user@host/database.")
        return parsed_url
    if parsed_url.drivername != "sqlite+aiosqlite":
        raise WrongUse("The database is Postgres or SQLite: postgresql+asyncpg://… or sqlite+aiosqlite:///…")
    try:
        sqlite.file_of(parsed_url)
    except ValueError as error:
        raise WrongUse(str(error)) from None
    return parsed_url


def described(url: URL) -> str:
    """For messages: without user and password."""
    return pg.described(url) if kind_of(url) == "postgresql" else str(sqlite.file_of(url))


def kind_of(url: URL) -> str:
    return url.get_backend_name()


async def fetch_dump(backups: Place, manifest: Manifest, target: Path) -> str:
    """Download it to a new file, and return its checksum: the caller compares. Raises BackupError."""
    with told_of(f"The dump of {manifest.name} in {backups.described}"):
        await backups.store.download(dump_key(manifest.name), target)
    return await sha256_of(target)


async def sha256_of(path: Path) -> str:
    return await asyncio.to_thread(_sha256_of, path)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_in_words(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
