"""The matrices of the decode loop in three precisions.

GPT-2's Conv1D keeps its weight as [in, out]; here it is [out, in], as in nn.Linear.
"""

import warnings
from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

_KEPT_ROWS = 16
"""Up to so many rows at once, the input of the int8 kernel is written to memory that is kept."""

Linear = Callable[[Tensor], Tensor]
"""[..., in] to [..., out]."""


class Precision(StrEnum):
    """How the decode loop computes.

    exact: float32, equal to the stock package. bf16: weights and activations. int8: weights of one scale for each
    output, activations quantised row by row; CPU only.
    """

    EXACT = "exact"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations between the matrices, and of the key-value cache."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32


def make_linear(weight: Tensor, bias: Tensor, precision: Precision) -> Linear:
    """A matrix [out, in] and its bias [out], both float32, in `precision`."""
    if precision is Precision.INT8:
        return Int8Linear(weight, bias)
    return PlainLinear(weight.to(precision.dtype), bias.to(precision.dtype))


class PlainLinear:
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight = weight.contiguous()
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight, self._bias)


class Int8Linear:
    """Dynamic quantisation in which no row can see another.

    torch's kernel takes one range for the whole input, so a sentence would change with its company in the batch. Here
    every row is first scaled to a peak of 1, and one more row that reaches from -1 to 1 fixes the range for all.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        outputs, inputs = weight.shape
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # quantised tensors are to leave torch; the kernel is the fastest it has
            quantised = torch.quantize_per_channel(
                weight, scales, torch.zeros(outputs, dtype=torch.long), 0, torch.qint8
            )
            self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self._bias = bias
        self._input = torch.zeros(1, inputs)  # the range, and behind it room for as many rows as were ever asked for
        self._input[0, :2] = torch.tensor([-1.0, 1.0])

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        peaks = torch.linalg.vector_norm(rows, ord=torch.inf, dim=1, keepdim=True).clamp_(min=1e-12)
        y = torch.ops.quantized.linear_dynamic(self._scaled(rows, peaks), self._packed)
        return torch.addcmul(self._bias, y[1:], peaks).view(*x.shape[:-1], -1)

    def _scaled(self, rows: Tensor, peaks: Tensor) -> Tensor:
        """[1 + n, in]: the range, and rows [n, in] divided by their peaks [n, 1]."""
        if len(rows) > _KEPT_ROWS:
            return torch.cat((self._input[:1], rows / peaks))
        if len(self._input) <= len(rows):
            self._input = torch.cat((self._input[:1], rows.new_zeros(_KEPT_ROWS, rows.shape[1])))
        torch.div(rows, peaks, out=self._input[1 : 1 + len(rows)])
        return self._input[: 1 + len(rows)]
