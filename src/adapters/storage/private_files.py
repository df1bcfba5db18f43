"""Files that only this user can read, and keys in them."""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from src.domain.errors import NotFound

_KEY = re.compile(r"(?=.{1,512}\Z)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}){0,7}")


def is_key(text: str) -> bool:
    """1 to 8 names of letters, digits, `_`, `-` and `.` joined by `/`; a name does not begin with a dot."""
    return _KEY.fullmatch(text) is not None


def checked(key: str) -> str:
    """The key itself. Raises ValueError for what is no key."""
    if not is_key(key):
        raise ValueError("A storage key has names of letters, digits, '_', '-' and '.', joined by '/'.")
    return key


KEY_BYTES = 32
"""Least length of a signing key."""

NOT_THERE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

_BLOCK_BYTES = 2**20


def load_or_create(path: Path, fresh: Callable[[], bytes]) -> bytes:
    """What is in `path`, made by `fresh` at the first call; processes that start together get the same. Blocks."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        write_private(made, fresh(), wait_for_disk=True)
        try:
            with suppress(FileExistsError):  # another process was first: its file counts
                path.hardlink_to(made)
        finally:
            made.unlink()
    return path.read_bytes()


def load_or_create_key(path: Path) -> bytes:
    """The random 32 bytes in `path`, as `load_or_create`. Raises ValueError when the file is there and too short."""
    key = load_or_create(path, lambda: secrets.token_bytes(KEY_BYTES))
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} is not a signing key: delete it, and a new one is made.")
    return key


def replace_private(path: Path, data: bytes) -> None:
    """Whoever reads gets the old or the new, as a whole. Blocks."""
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        write_private(made, data, wait_for_disk=True)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def write_private(path: Path, data: bytes, *, wait_for_disk: bool) -> None:
    """A new file that only this user can read, and whose writing is seen by `is_locked`."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        file.write(data)
        if wait_for_disk:
            file.flush()
            os.fsync(file.fileno())


def copy_private(source: Path, target: Path) -> None:
    """A new file that only this user can read, on the disk when this returns; none when it fails. Raises NotFound."""
    try:
        opened = source.open("rb")
    except NOT_THERE:
        raise no_such_file() from None
    try:
        with opened, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            shutil.copyfileobj(opened, file, _BLOCK_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def is_locked(path: Path) -> bool:
    """Whether the process that writes it lives, on this machine, in whatever container."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def no_such_file() -> NotFound:
    return NotFound("There is no such file, or its address has expired: read the job again for a new one.")
