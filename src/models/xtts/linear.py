"""The matrices of the decode loop in three precisions.

GPT-2's Conv1D keeps its weight as [in, out]; here it is [out, in], as in nn.Linear.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from src.domain.errors import EngineUnavailable
from src.models.processor import has_vnni

WEIGHT_STEPS = 127 if has_vnni() else 63
"""On a side of zero."""
_ZERO_BYTE = 128
_ACTIVATION_STEPS = 127 * 256
_ZERO_WORD = torch.tensor(_ZERO_BYTE * 257 + 0.5)
"""Added to an activation in steps, and cut to an integer: rounded, with both its bytes counted from 128."""
_LEAST_STEP = torch.tensor(1e-12)

Linear = Callable[[Tensor], Tensor]
"""[..., in] to [..., out]."""


class Precision(StrEnum):
    """How the decode loop computes.

    exact: float32, equal to the stock package. bf16: weights and activations. int8: weights of one scale for each
    output, activations of 16 bits; CPU only.
    """

    EXACT = "exact"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations between the matrices, and of the key-value cache."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32

    @property
    def vocoder_dtype(self) -> torch.dtype:
        return torch.float32 if self is Precision.EXACT else torch.bfloat16

    @classmethod
    def chosen(cls, name: str, device: torch.device) -> "Precision":
        """The one of that name. auto: bf16 on a GPU, int8 on a processor with VNNI, and exact on one without, which
        emulates the other two. Raises EngineUnavailable.
        """
        if name == "auto":
            if device.type == "cuda":
                return cls.BF16
            return cls.INT8 if has_vnni() else cls.EXACT
        precision = cls(name)
        if precision is cls.INT8 and device.type != "cpu":
            raise EngineUnavailable("XTTS runs in int8 on a CPU only: set the precision to bf16 or exact.")
        return precision


class PlainLinear:
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight.contiguous()  # [out, in]
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class Int8Linear:
    """Weights of 8 bits and activations of 16, by a kernel that multiplies 8 bits with 8 bits.

    A row of activations x is p (256 h + l), where p is its own step, so that no row can see another, and h and l are
    bytes: two rows for the kernel. A step of few sentences waits for the weights; the second row costs it next to
    nothing, and leaves no error but that of the weights. What this error does to a `typical` input is known
    beforehand, and is taken off the bias (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and
    Bias Correction").
    """

    def __init__(self, weight: Tensor, bias: Tensor, typical: Tensor | None = None) -> None:
        """weight [out, in], bias [out], float32; typical: the mean [in] of what it will be given."""
        self._scales = (weight.abs().amax(dim=1) / WEIGHT_STEPS).clamp(min=1e-12)
        rounded = (weight / self._scales[:, None]).round_()
        self._bias = bias if typical is None else bias + (weight - rounded * self._scales[:, None]) @ typical
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._packed = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])  # [n, in]
        steps = torch.add(_LEAST_STEP, rows.abs().amax(dim=1, keepdim=True), alpha=1 / _ACTIVATION_STEPS)  # [n, 1]
        words = torch.addcdiv(_ZERO_WORD, rows, steps).to(torch.uint16)
        planes = words.view(torch.uint8).view(*rows.shape, 2).permute(2, 0, 1).reshape(-1, rows.shape[1])  # [2 n, in]
        low, high = torch.ops.onednn.qlinear_pointwise(
            planes,
            1.0,
            _ZERO_BYTE,
            self._packed,
            self._scales,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        ).chunk(2)  # [n, out] each
        return torch.addcmul(self._bias, torch.add(low, high, alpha=256), steps).view(*x.shape[:-1], -1)


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
