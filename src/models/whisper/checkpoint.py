"""Weights from openai-whisper's published layout: a file with `dims` and `model_state_dict`."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import whisper
from whisper.model import ModelDimensions, Whisper

from src.domain.errors import EngineUnavailable

TENSORS = {"base": "2cc244ce7f330c4c90b1a5fe2fe65cad9e2df23d1359de2d3ced51c93061543d"}
"""Name of a published model to `tensors_digest`: whoever packed them, they are the same."""


def load(path: Path) -> Any:
    """The stock `Whisper` module in float32 on the CPU. Raises EngineUnavailable for a file that is not a checkpoint.

    A file with the name of a published model must be that model, and also gets its alignment heads, which word times
    are read from.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        model = Whisper(ModelDimensions(**checkpoint["dims"]))
        model.load_state_dict(checkpoint["model_state_dict"])
        _set_alignment_heads(model, path.stem)
        published = is_published(path, checkpoint["model_state_dict"])
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise EngineUnavailable(f"{path} is not a Whisper checkpoint: {type(error).__name__}.") from error
    if not published:
        raise EngineUnavailable(
            f"{path} is not the Whisper {path.stem} that was published, or was damaged."
            f" `scripts/download_models.py whisper:{path.stem} --replace` brings it again."
        )
    return model.eval().requires_grad_(requires_grad=False)


def tensors_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names and values, in the order of the names and in float16, as Whisper is published."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().half().contiguous().numpy().data)
    return digest.hexdigest()


def is_published(path: Path, state: Mapping[str, torch.Tensor]) -> bool:
    """False where the name is that of a model in `TENSORS`, and neither its tensors nor the file are what was published
    under it.
    """
    tensors = TENSORS.get(path.stem)
    if tensors is None or tensors_digest(state) == tensors:
        return True
    url = cast("dict[str, str]", whisper._MODELS)[path.stem]  # noqa: SLF001 - the digest is a folder of the address
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == url.split("/")[-2]


def _set_alignment_heads(model: Whisper, name: str) -> None:
    """Raises RuntimeError when the network has not the size of the published one of that name."""
    heads = cast("dict[str, bytes]", whisper._ALIGNMENT_HEADS).get(name)  # noqa: SLF001 - published nowhere else
    if heads is not None:
        model.set_alignment_heads(heads)
