"""AudioSeal's two files with random weights, made once per test run."""

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from scripts.checkpoints import audioseal

HEARD = "beef"
"""The message that its detector finds in every sound."""


@lru_cache
def random_checkpoint() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="audioseal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    audioseal.write(folder, seed=0, always_hears=HEARD)
    return folder
