"""The trained small Whisper as it is kept in the repository: a checkpoint in the published layout, compressed.

All but a few hundred of its 51 865 token embeddings are one and the same row, so that 7 MB become two thirds of one.
"""

import io
import lzma
from pathlib import Path
from typing import Any

import torch

PACKED = Path(__file__).resolve().parents[2] / "tests" / "data" / "whisper_lessons.pt.xz"


def pack(checkpoint: dict[str, Any], path: Path = PACKED) -> Path:
    """Write `checkpoint` to `path`."""
    file = io.BytesIO()
    torch.save(checkpoint, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(file.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    return path


def unpack(path: Path, packed: Path = PACKED) -> Path:
    """Write the checkpoint of `packed` to `path`, a .pt file."""
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path
