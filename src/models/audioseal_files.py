"""The published files of AudioSeal, and whether they can be used; known without loading torch."""

import importlib.util
from pathlib import Path

NAME = "audioseal"
GENERATOR_FILE, DETECTOR_FILE = "generator_base.pth", "detector_base.pth"


def missing(folder: Path) -> str | None:
    """Why the watermark cannot be had; None: it can."""
    absent = [name for name in (GENERATOR_FILE, DETECTOR_FILE) if not (folder / name).is_file()]
    if absent:
        return f"{folder} has no {' and no '.join(absent)}"
    if importlib.util.find_spec("audioseal") is None:
        return "the package audioseal is not installed; requirements-gpu.txt has it"
    return None
