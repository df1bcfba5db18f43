"""Blocks from float32 to int8, one after the other, each seen at work first: what a matrix is usually given says what
the rounding of its weights will usually do.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from src.models.xtts.linear import Block, Int8Linear, PlainLinear

_MATRICES = ("attention_in", "attention_out", "mlp_in", "mlp_out")


class Observed:
    """A float32 matrix that remembers the mean of its inputs."""

    def __init__(self, matrix: PlainLinear) -> None:
        self.matrix = matrix
        self.mean: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        self.mean = x.flatten(0, -2).mean(dim=0)
        return self.matrix(x)

    def quantised(self) -> Int8Linear:
        return Int8Linear(self.matrix.weight, self.matrix.bias, self.mean)


class Quantiser:
    """`run` computes a block: [B, T, D] to [B, T, D]. typical: [B, T, D] that the first block may be given; None:
    nothing is known of it.
    """

    def __init__(self, run: Callable[[Block, Tensor], Tensor], typical: Tensor | None) -> None:
        self._run = run
        self._typical = typical

    @torch.inference_mode()
    def __call__(self, block: Block) -> Block:
        """The int8 block for the next float32 one; they must come in their order."""
        observed: dict[str, Any] = {name: Observed(getattr(block, name)) for name in _MATRICES}
        if self._typical is not None:
            self._typical = self._run(replace(block, **observed), self._typical)
        int8: dict[str, Any] = {name: each.quantised() for name, each in observed.items()}
        return replace(block, **int8)
