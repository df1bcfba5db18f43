"""Matrix products in the precision of the network: weights are cast once, when it is built."""

import warnings
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]


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


def linear(weight: Tensor, bias: Tensor | None, precision: Precision, device: torch.device) -> Linear:
    """x [..., in] -> x W^T + b [..., out] for `weight` [out, in]."""
    if precision is Precision.INT8:
        return _int8(weight.float(), None if bias is None else bias.float())
    cast = weight.to(device, precision.dtype)
    cast_bias = None if bias is None else bias.to(device, precision.dtype)
    return lambda x: functional.linear(x, cast, cast_bias)


def _int8(weight: Tensor, bias: Tensor | None) -> Linear:
    """One scale per output channel, and one per call for the activations: never mix two callers' rows in a call."""
    scales = weight.abs().amax(dim=1).clamp(min=1e-8).double() / 127
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch means to replace quantised tensors; its version is pinned
        quantised = torch.quantize_per_channel(
            weight, scales, torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8
        )
        packed: Any = torch.ops.quantized.linear_prepack(quantised, bias)
    product = torch.ops.quantized.linear_dynamic
    return lambda x: product(x, packed, False)
