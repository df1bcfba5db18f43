"""What the audit log calls what was deleted."""

from pathlib import Path

from src.domain.accounts import Pseudonyms


def deleted(data_dir: Path, name: str) -> str:
    """By the key of the service with this folder."""
    return Pseudonyms((data_dir / "pseudonyms.key").read_bytes()).of(name)
