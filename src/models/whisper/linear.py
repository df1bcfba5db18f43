"""Matrix products in the precision of the network: weights are cast once, when it is built."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from src.models.processor import has_vnni

Linear = Callable[[Tensor], Tensor]

_REDUCED = not has_vnni()
"""Whether activations have seven bits only."""
_TOP = 127 if _REDUCED else 255
_ROWS_ENOUGH = 64
"""Rows of one window that keep the kernel busy: to go through it with other windows would gain nothing."""


class Precision(StrEnum):
    """How weights are kept. INT8: linear layers only, eight bits per weight and per activation, the rest float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """Of activations, and of weights that are not quantised."""
        kinds = {"bfloat16": torch.bfloat16, "float16": torch.float16}
        return kinds.get(self.value, torch.float32)


@dataclass(slots=True)
class Windows:
    """How many windows the network's next product is for, of equally many rows each. A network shares one of these."""

    count: int = 1


def linear(weight: Tensor, bias: Tensor | None, precision: Precision, device: torch.device, windows: Windows) -> Linear:
    """x [..., in] -> x W^T + b [..., out] for `weight` [out, in]."""
    if precision is Precision.INT8:
        return Int8Linear(weight.float(), None if bias is None else bias.float(), windows)
    cast = weight.to(device, precision.dtype)
    cast_bias = None if bias is None else bias.to(device, precision.dtype)
    return lambda x: functional.linear(x, cast, cast_bias)


class Int8Linear:
    """One scale per output channel, and one per window for the activations: no window can change another one's text.

    torch's kernel takes one scale for its whole input, so it gets one window at a time where that is as fast. For a few
    rows of each of several windows, as in decoding, it is not: the weights would be read once for each. These rows are
    quantised here, in the kernel's own way, and multiplied together.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, windows: Windows) -> None:
        self._scales = weight.abs().amax(dim=1).clamp(min=1e-8) / 127
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch means to replace quantised tensors; it is pinned
            quantised = torch.quantize_per_channel(
                weight, self._scales.double(), torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8
            )
            self._packed: Any = torch.ops.quantized.linear_prepack(quantised, bias)
        self._bias, self._windows = bias, windows
        self._shared: Any = None  # the weights for several windows, and what each output gets for an activation of one
        self._sums = self._zeros = torch.zeros(0)

    def __call__(self, x: Tensor) -> Tensor:
        count = self._windows.count
        if count == 1:
            return self._one(x)
        rows = x.reshape(count, -1, x.shape[-1])
        if rows.shape[1] > _ROWS_ENOUGH:
            return torch.cat([self._one(window) for window in rows]).view(*x.shape[:-1], -1)
        return self._several(rows).view(*x.shape[:-1], -1)

    def _one(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, _REDUCED)
        return y

    def _several(self, x: Tensor) -> Tensor:
        """[windows, rows, in] -> [windows, rows, out]: but for rounding what `_one` makes of each window."""
        if self._shared is None:
            self._prepare()
        least, most = x.amin(dim=(1, 2), keepdim=True).clamp(max=0), x.amax(dim=(1, 2), keepdim=True).clamp(min=0)
        steps = ((most - least) / _TOP).clamp(min=1e-12)  # [windows, 1, 1], as the zeros
        zeros = (-least / steps).round()
        levels = torch.addcmul(zeros, x, steps.reciprocal()).round_().clamp_(0, _TOP).to(torch.uint8)
        y = torch.ops.onednn.qlinear_pointwise(
            levels.flatten(end_dim=1), 1.0, 0, self._shared, self._scales, self._zeros, None, 1.0, 0, torch.float32,
            "none", [], "",
        ).view(*x.shape[:2], -1)  # fmt: skip
        product: Tensor = (y - zeros * self._sums) * steps
        return product if self._bias is None else product + self._bias

    def _prepare(self) -> None:
        """At the first call for several windows: who decodes alone keeps the weights once."""
        levels = torch.ops.quantized.linear_unpack(self._packed)[0].int_repr()
        self._sums = levels.sum(dim=1, dtype=torch.float32) * self._scales
        self._zeros = torch.zeros(len(levels), dtype=torch.int32)
        self._shared = torch.ops.onednn.qlinear_prepack(levels, None)
