"""In what numbers Whisper computes."""

from enum import StrEnum

import torch


class Precision(StrEnum):
    """FLOAT32: on CPUs; tokens equal openai-whisper's. FLOAT16: on GPUs."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return torch.float16 if self is Precision.FLOAT16 else torch.float32
