"""The image of docker/Dockerfile, made once in a clean Debian and gone when the tests end. Meanwhile it takes 5 GB."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.image.clean_root import Image, build, make_base, torch_index
from tests.image.dockerfile import Context


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """With Whisper and XTTS-v2 when PRODUCTION_ENGINES is set, as `PRODUCTION_ENGINES=1 scripts/test image`."""
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the image's user walks through it
        make_base(folder / "base")
        arguments = {"TORCH_INDEX_URL": torch_index(), "PRODUCTION_ENGINES": os.environ.get("PRODUCTION_ENGINES", "")}
        yield build(ROOT / "docker" / "Dockerfile", Context(ROOT), folder / "base", folder, arguments)
