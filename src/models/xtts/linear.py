"""The matrices of the decode loop in torch, and the precisions that it computes in.

GPT-2's Conv1D keeps its weight as [in, out]; here it is [out, in], as in nn.Linear.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from src.domain.errors import EngineUnavailable
from src.models.processor import has_bfloat16


class Precision(StrEnum):
    """How the decode loop computes.

    exact: float32, equal to the stock package. bf16: weights and activations, by torch. int8: weights and activations,
    by ONNX Runtime, on a CPU.
    """

    EXACT = "exact"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """Of torch's activations between the matrices, and of its key-value cache."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32

    def vocoder_dtype(self, device: torch.device) -> torch.dtype:
        """bfloat16 where the device multiplies it, unless all is exact."""
        fast = self is not Precision.EXACT and (device.type == "cuda" or has_bfloat16())
        return torch.bfloat16 if fast else torch.float32

    @classmethod
    def chosen(cls, name: str, device: torch.device) -> "Precision":
        """The one of that name; auto: bf16 on a GPU, int8 on a CPU. Raises EngineUnavailable."""
        if name == "auto":
            return cls.BF16 if device.type == "cuda" else cls.INT8
        precision = cls(name)
        if precision is cls.INT8 and device.type != "cpu":
            raise EngineUnavailable("XTTS runs in int8 on a CPU only: set the precision to bf16 or exact.")
        return precision


class Linear:
    """[..., in] to [..., out]."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.contiguous()  # [out, in]
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    norm_1: Norm
    attention_in: Linear  # [D] to query, key, value [3 D]
    attention_out: Linear
    norm_2: Norm
    mlp_in: Linear  # [D] to [4 D]
    mlp_out: Linear

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """[B, T, D] after the block, of its input and of what its heads saw [B, H, T, D / H]."""
        x = x + self.attention_out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.norm_2(x)), approximate="tanh"))
