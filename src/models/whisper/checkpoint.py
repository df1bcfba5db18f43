"""Weights from openai-whisper's published layout: a file with `dims` and `model_state_dict`."""

import pickle
from pathlib import Path
from typing import Any, cast

import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from src.domain.errors import EngineUnavailable


def load(path: Path) -> Any:
    """The stock `Whisper` module in float32 on the CPU. Raises EngineUnavailable for a file that is not a checkpoint.

    A file with the name of a published model also gets that model's alignment heads, which word times are read from.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model = Whisper(ModelDimensions(**checkpoint["dims"]))
        model.load_state_dict(checkpoint["model_state_dict"])
        _set_alignment_heads(model, path.stem)
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise EngineUnavailable(f"{path} is not a Whisper checkpoint: {type(error).__name__}.") from error
    return model.eval().requires_grad_(requires_grad=False)


def _set_alignment_heads(model: Whisper, name: str) -> None:
    """Raises RuntimeError when the network has not the size of the published one of that name."""
    heads = cast("dict[str, bytes]", whisper._ALIGNMENT_HEADS).get(name)  # noqa: SLF001 - published nowhere else
    if heads is not None:
        model.set_alignment_heads(heads)
