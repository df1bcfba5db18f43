"""One block of XTTS's GPT-2: what it is made of."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from src.models.xtts.linear import Linear


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
