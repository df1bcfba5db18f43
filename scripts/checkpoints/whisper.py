"""Whisper checkpoints with random weights, in openai-whisper's published layout."""

from dataclasses import asdict
from pathlib import Path

import torch
from whisper.model import ModelDimensions, Whisper

_PUBLISHED = {
    "tiny": (384, 6, 4),
    "base": (512, 8, 6),
    "small": (768, 12, 12),
    "medium": (1024, 16, 24),
}

DIMENSIONS = {
    "unit": ModelDimensions(80, 1500, 64, 2, 2, 51865, 448, 64, 2, 2),
    "unit-v3": ModelDimensions(128, 1500, 64, 2, 2, 51866, 448, 64, 2, 2),
    **{
        name: ModelDimensions(80, 1500, width, heads, layers, 51865, 448, width, heads, layers)
        for name, (width, heads, layers) in _PUBLISHED.items()
    },
    "large-v3": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32),
    "large-v3-turbo": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4),
}
"""By name; `unit` and `unit-v3` are small, for unit tests, the others have the published sizes."""


def make(size: str, path: Path, seed: int = 0) -> Path:
    """Write `path`: half-precision weights of `DIMENSIONS[size]`. The same seed gives the same weights.

    Positions and what is heard weigh more than the token before, so that greedy text varies along the way and with the
    sound, instead of repeating one token for ever.
    """
    torch.manual_seed(seed)
    dims = DIMENSIONS[size]
    model = Whisper(dims).requires_grad_(requires_grad=False)
    torch.nn.init.normal_(model.decoder.positional_embedding, std=1.0)
    torch.nn.init.normal_(model.decoder.token_embedding.weight, std=dims.n_text_state**-0.5)
    for block in model.decoder.blocks:
        block.cross_attn.out.weight *= 30
        block.cross_attn.query.weight *= 30
    model.decoder.ln.weight *= 4
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half() for name, tensor in model.state_dict().items()}
    unfinished = path.with_suffix(".part")
    torch.save({"dims": asdict(dims), "model_state_dict": weights}, unfinished)
    unfinished.rename(path)
    return path
