"""The small Whisper that was trained on spoken sentences, unpacked once for a test run."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from scripts.checkpoints.trained_whisper import unpack


@functools.cache
def trained_checkpoint() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="whisper-trained-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return unpack(folder / "lessons.pt")
